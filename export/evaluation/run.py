"""Fills the tables with the rows of every measurement. A run can be resumed, and shows its progress."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from export.data import Item
from export.evaluation import comparison, quality, rate, recovery, task
from export.evaluation.baselines.method import Method
from export.evaluation.distortions import DISTORTIONS
from export.evaluation.images import Subject, centre, evaluation_items, load, sample, seeded, shown
from export.evaluation.ledger import Ledger
from gateway.seal import codec, undo
from gateway.seal.codec import Codec, Profile

# Modules beside this one that measure nothing.
_SHOWING = ("figures.py", "goals.py", "prose.py", "report.py", "run.py", "tables.py")


@dataclass(frozen=True)
class Plan:
    """What is measured, and where the files are.

    data: the data folder.
    models: folder of the networks.
    work: folder in which rows and trained baselines are kept between runs.
    quality, comparison, task: so many images of every kind at most.
    recovery: the same, for each profile.
    """

    data: Path
    models: Path
    work: Path
    quality: int
    recovery: dict[Profile, int]
    comparison: int
    task: int


def model_hashes(models: Path) -> dict[str, str]:
    """SHA-256 of every network that is in `models` and that a card there names."""
    hashes: dict[str, str] = {}
    for card_path in sorted(models.glob("*.json")):
        card = json.loads(card_path.read_text())
        hashes |= {card[part]["file"]: card[part]["sha256"] for part in ("hide", "reveal")}
    return {file: sha256 for file, sha256 in hashes.items() if (models / file).exists()}


def _fingerprint(hashes: dict[str, str]) -> str:
    """Names the networks and all code that decides figures: codec, restoring data and the measurements.

    hashes: see `model_hashes`.
    """
    digest = hashlib.sha256(json.dumps(hashes).encode())
    folders = (Path(codec.__file__).parent, Path(undo.__file__).parent, Path(__file__).parent)
    for source in sorted(source for folder in folders for source in folder.glob("**/*.py")):
        if source.name not in _SHOWING:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class Run:
    """One evaluation. A row that was measured before, with the same networks and code, is not measured again."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        own_key = plan.models / "release.pub"
        self.codec = Codec.load(plan.models, release=own_key if own_key.exists() else None)
        self.hashes = model_hashes(plan.models)
        self._items = evaluation_items(plan.data)
        self._folder = plan.work / _fingerprint(self.hashes)

    def quality(self) -> list[quality.Row]:
        ledger = Ledger(self._folder / "quality.csv", quality.Row, key=3)
        for item in _progress("quality", sample(self._items, self.plan.quality)):
            name = str(item.path.relative_to(self.plan.data))
            if (name, item.kind, Profile.ROBUST) not in ledger:
                for profile in Profile:
                    row = quality.measure(self.codec, item, self.plan.data, profile, seeded(name, profile))
                    if row is not None:
                        ledger.add(row)
        return _rows_of(ledger.rows(), sample(self._items, self.plan.quality), self.plan.data)

    def recovery(self) -> list[recovery.Row]:
        ledger = Ledger(self._folder / "recovery.csv", recovery.Row, key=3)

        def missing(subject: Subject, profile: Profile) -> Iterable[recovery.Row]:
            if (subject.name, profile, DISTORTIONS[-1].name) not in ledger:
                yield from recovery.trials(self.codec, centre(subject), profile)

        rows = []
        for profile, per_kind in self.plan.recovery.items():
            members = self._fill(f"recovery {profile}", ledger, per_kind, partial(missing, profile=profile))
            rows += [row for row in members if row.profile == profile]
        return rows

    def comparison(self, methods: list[Method]) -> list[comparison.Row]:
        ledger = Ledger(self._folder / "comparison.csv", comparison.Row, key=3)

        def missing(subject: Subject) -> Iterable[comparison.Row]:
            if (subject.name, comparison.REFERENCE, "-") not in ledger:
                yield from comparison.trials(self.codec, methods, shown(centre(subject)))

        return self._fill("comparison", ledger, self.plan.comparison, missing)

    def task(self) -> list[task.Row]:
        ledger = Ledger(self._folder / "task.csv", task.Row, key=2)

        def missing(subject: Subject) -> Iterable[task.Row]:
            if (subject.name, "JPEG 2000 5:1") not in ledger:
                yield from task.trials(self.codec, centre(subject))

        return self._fill("task", ledger, self.plan.task, missing)

    def rate(self) -> list[rate.Row]:
        ledger = Ledger(self._folder / "rate.csv", rate.Row, key=3)

        def missing(subject: Subject) -> Iterable[rate.Row]:
            for profile in Profile:
                if (subject.name, profile, rate.PAYLOADS[-1]) not in ledger:
                    yield from rate.trials(self.codec, centre(subject), profile)

        return self._fill("rate", ledger, 1, missing)

    def _fill(
        self, what: str, ledger: Ledger[Any], per_kind: int, missing: Callable[[Subject], Iterable[Any]]
    ) -> list[Any]:
        """Measure the rows that the ledger lacks.

        what: shown with the progress.
        per_kind: so many images of every kind at most.
        missing: measures the rows of an image that the ledger lacks.

        Returns the rows of the images chosen.
        """
        items = sample(self._items, per_kind)
        for item in _progress(what, items):
            subject = load(item, self.plan.data)
            for row in missing(subject) if subject is not None else ():
                ledger.add(row)
        return _rows_of(ledger.rows(), items, self.plan.data)


def _rows_of(rows: list[Any], items: list[Item], folder: Path) -> list[Any]:
    """The rows of these images only, because a ledger may hold those of a larger run."""
    names = {str(item.path.relative_to(folder)) for item in items}
    return [row for row in rows if row.path in names]


def _progress(what: str, items: list[Item]) -> Iterable[Item]:
    for number, item in enumerate(items, 1):
        print(f"\r{what} {number}/{len(items)} ", end="", flush=True)
        yield item
    print()
