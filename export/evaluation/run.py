"""Fills the tables: every measurement as resumable rows, with its progress shown."""

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
from gateway.seal import codec
from gateway.seal.codec import Codec, Profile

_SHOWING = ("figures.py", "goals.py", "prose.py", "report.py", "run.py", "tables.py")  # these measure nothing
# The modules that decide how much restoring data takes.
_STORING = ("undo/amplitudes.py", "undo/bitcoding.py", "undo/residual.py", "undo/restoring_element.py")


@dataclass(frozen=True)
class Wish:
    """data: the collection; models: the networks; work: where rows and trained baselines are kept between runs.

    quality, recovery, comparison, task: at most so many images of every kind; recovery by profile.
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
    """Of the networks, and of the code around them that decides figures too."""
    seen = hashlib.sha256(json.dumps(hashes).encode())
    seal, here = Path(codec.__file__).parents[1], Path(__file__).parent
    sources = [*seal.glob("codec/**/*.py"), *(seal / name for name in _STORING), *here.glob("**/*.py")]
    for source in sorted(sources):
        if source.name not in _SHOWING:
            seen.update(source.read_bytes())
    return seen.hexdigest()[:16]


class Run:
    """One evaluation. Rows measured before with the same networks are not measured again."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        own = wish.models / "release.pub"
        self.codec = Codec.load(wish.models, release=own if own.exists() else None)
        self.hashes = model_hashes(wish.models)
        self._items = evaluation_items(wish.data)
        self._folder = wish.work / _fingerprint(self.hashes)

    def quality(self) -> list[quality.Row]:
        ledger = Ledger(self._folder / "quality.csv", quality.Row, key=3)
        for item in _progress("quality", sample(self._items, self.wish.quality)):
            name = str(item.path.relative_to(self.wish.data))
            if (name, item.kind, Profile.ROBUST) not in ledger:
                for profile in Profile:
                    row = quality.measure(self.codec, item, self.wish.data, profile, seeded(name, profile))
                    if row is not None:
                        ledger.add(row)
        return _of(ledger.rows(), sample(self._items, self.wish.quality), self.wish.data)

    def recovery(self) -> list[recovery.Row]:
        ledger = Ledger(self._folder / "recovery.csv", recovery.Row, key=3)

        def missing(subject: Subject, profile: Profile) -> Iterable[recovery.Row]:
            if (subject.name, profile, DISTORTIONS[-1].name) not in ledger:
                yield from recovery.trials(self.codec, centre(subject), profile)

        rows = []
        for profile, per_kind in self.wish.recovery.items():
            filled = self._filled(f"recovery {profile}", ledger, per_kind, partial(missing, profile=profile))
            rows += [row for row in filled if row.profile == profile]
        return rows

    def comparison(self, methods: list[Method]) -> list[comparison.Row]:
        ledger = Ledger(self._folder / "comparison.csv", comparison.Row, key=3)

        def missing(subject: Subject) -> Iterable[comparison.Row]:
            if (subject.name, comparison.REFERENCE, "-") not in ledger:
                yield from comparison.trials(self.codec, methods, shown(centre(subject)))

        return self._filled("comparison", ledger, self.wish.comparison, missing)

    def task(self) -> list[task.Row]:
        ledger = Ledger(self._folder / "task.csv", task.Row, key=2)

        def missing(subject: Subject) -> Iterable[task.Row]:
            if (subject.name, "JPEG 2000 5:1") not in ledger:
                yield from task.trials(self.codec, centre(subject))

        return self._filled("task", ledger, self.wish.task, missing)

    def rate(self) -> list[rate.Row]:
        ledger = Ledger(self._folder / "rate.csv", rate.Row, key=3)

        def missing(subject: Subject) -> Iterable[rate.Row]:
            for profile in Profile:
                if (subject.name, profile, rate.PAYLOADS[-1]) not in ledger:
                    yield from rate.trials(self.codec, centre(subject), profile)

        return self._filled("rate", ledger, 1, missing)

    def _filled(
        self, what: str, ledger: Ledger[Any], per_kind: int, missing: Callable[[Subject], Iterable[Any]]
    ) -> list[Any]:
        items = sample(self._items, per_kind)
        for item in _progress(what, items):
            subject = load(item, self.wish.data)
            for row in missing(subject) if subject is not None else ():
                ledger.add(row)
        return _of(ledger.rows(), items, self.wish.data)


def _of(rows: list[Any], items: list[Item], folder: Path) -> list[Any]:
    """Rows of the wished images only: a ledger may hold those of a larger run."""
    names = {str(item.path.relative_to(folder)) for item in items}
    return [row for row in rows if row.path in names]


def _progress(what: str, items: list[Item]) -> Iterable[Item]:
    for number, item in enumerate(items, 1):
        print(f"\r{what} {number}/{len(items)} ", end="", flush=True)
        yield item
    print()
