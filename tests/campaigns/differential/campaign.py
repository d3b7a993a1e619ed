"""Files are made, judged, and read by others where the judgement is good: see docs/differential.md."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.dicom import one_reading
from gateway.dicom.part10 import Part10, read
from gateway.errors import UnreadableObject
from gateway.seal import eligibility
from gateway.seal.block import private_block
from gateway.seal.block.statement import Level
from gateway.seal.header import dictionary
from tests.campaigns.differential import dcmtk_reader, known, mutations, pydicom_reader
from tests.campaigns.differential.bases import Base
from tests.campaigns.differential.comparison import differences
from tests.campaigns.differential.gdcm_reader import GdcmReader
from tests.campaigns.differential.readings import Reading, own_reading
from tests.second_reader import dicom
from tests.support.desk import Desk

SEALED_SHARE = 0.75
# Differences that are told of each file and reader.
LINES_MAX = 3
GOOD, SEALABLE = "verifies good", "would be sealed"


@dataclass(frozen=True)
class Candidate:
    """A file that would be believed.

    number: its own; with the seed it makes the same file again.
    judgement: GOOD or SEALABLE; kinds: the mutations.
    """

    number: int
    data: bytes
    file: Part10
    judgement: str
    base: str
    kinds: tuple[str, ...]


@dataclass
class Tally:
    """counted: files by what became of them, and by mutation; misses: one line each; known: by the reader's fault."""

    counted: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    believed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> Tally:
        tally = cls(misses=list(values.get("misses", [])))
        for name in ("counted", "made", "believed", "refused", "known"):
            getattr(tally, name).update(values.get(name, {}))
        return tally


class Campaign:
    """Draws files from a seed, judges them and compares what readers see."""

    def __init__(self, desk: Desk, made: list[Base], folder: Path, seed: int) -> None:
        """folder: for the files of one batch, and `misses` in it for those that were one."""
        self._desk = desk
        self._drafts = [
            (base.name, sealed, base.draft(sealed=sealed)) for base in made for sealed in (True, False)
        ]
        self._folder = folder
        self._seed = seed
        self._gdcm = GdcmReader()
        folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        self._gdcm.close()

    def make(self, number: int) -> tuple[bytes, str, tuple[str, ...], bool]:
        """The file of a number, the same for the same seed and the same sealed files."""
        rng = random.Random(self._seed * 1_000_003 + number)
        sealed = rng.random() < SEALED_SHARE
        name, _, draft = rng.choice([entry for entry in self._drafts if entry[1] is sealed])
        draft = draft.copy()
        mutations.apply(rng, draft)
        return draft.to_bytes(), name, tuple(draft.kinds), sealed

    def run(self, numbers: Iterable[int], tally: Tally) -> None:
        """One batch."""
        candidates = [found for number in numbers if (found := self._judged(number, tally))]
        paths = []
        for candidate in candidates:
            path = self._folder / f"{candidate.number}.dcm"
            path.write_bytes(candidate.data)
            paths.append(path)
        try:
            self._compare(candidates, paths, tally)
        finally:
            for path in paths:
                path.unlink()

    def _judged(self, number: int, tally: Tally) -> Candidate | None:
        data, base, kinds, sealed = self.make(number)
        tally.counted["files"] += 1
        tally.made.update(set(kinds))
        try:
            file = read(data)
            judgement = self._judgement(file, data)
            self._ask_the_second_reader(number, data, file, tally)
        except UnreadableObject:
            tally.counted["unreadable"] += 1
            return None
        if not judgement:
            tally.counted["objected to" if self._objection(file) else "another bad verdict"] += 1
            return None
        tally.counted[judgement] += 1
        tally.believed.update(set(kinds))
        return Candidate(number, data, file, judgement, f"{base}, {'sealed' if sealed else 'plain'}", kinds)

    def _judgement(self, file: Part10, data: bytes) -> str:
        if private_block.has_block(file):
            return GOOD if self._desk.verify(data, with_key=False).ok else ""
        return SEALABLE if eligibility.judge(file).level is not Level.PASS else ""

    def _ask_the_second_reader(self, number: int, data: bytes, file: Part10, tally: Tally) -> None:
        """The reader that was written from FORMAT.md objects to the same files."""
        try:
            doubts = dicom.parse(data).doubts
        except dicom.Unreadable:
            doubts = ["unreadable"]
        if bool(doubts) != bool(self._objection(file)):
            tally.misses.append(f"{number}: the second reader says {doubts[:1]}")

    @staticmethod
    def _objection(file: Part10) -> str:
        try:
            return one_reading.objection(file, dictionary.vrs())
        except UnreadableObject:
            return "unreadable"

    def _compare(self, candidates: list[Candidate], paths: list[Path], tally: Tally) -> None:
        dumped = dcmtk_reader.read(paths)
        special = [at for at, found in enumerate(candidates) if _has_special_text(found.file)]
        converted = dict(
            zip(special, dcmtk_reader.read([paths[at] for at in special], utf_8=True), strict=True)
        )
        for at, (candidate, path) in enumerate(zip(candidates, paths, strict=True)):
            own = own_reading(candidate.file)
            readings = {
                "pydicom": pydicom_reader.read(candidate.data, with_samples=True),
                "GDCM": self._gdcm.read(path, pixels=0x7FE00010 in own.tree),
                "DCMTK": dumped[at],
            }
            if at in converted:
                readings["DCMTK, text"] = converted[at]
            if own.samples is not None and candidate.file.transfer_syntax in dcmtk_reader.DECODERS:
                readings["DCMTK, pixels"] = dcmtk_reader.samples(path, candidate.file.transfer_syntax)
            self._judge_readings(candidate, own, readings, tally)

    def _judge_readings(
        self, candidate: Candidate, own: Reading, readings: dict[str, Reading], tally: Tally
    ) -> None:
        for reader, reading in readings.items():
            if reading.refusal:
                tally.refused[reader] += 1
                continue
            for line in islice(differences(own, reading), LINES_MAX):
                fault = known.fault(reader, line, candidate.file)
                if fault:
                    tally.known[f"{reader}: {fault}"] += 1
                    continue
                kinds = "+".join(candidate.kinds)
                tally.misses.append(
                    f"{candidate.number} {candidate.judgement} [{candidate.base}] {kinds}: {reader}: {line}"
                )
                misses = self._folder / "misses"
                misses.mkdir(exist_ok=True)
                shutil.copyfile(
                    self._folder / f"{candidate.number}.dcm", misses / f"{self._seed}-{candidate.number}.dcm"
                )


def _has_special_text(file: Part10) -> bool:
    """Whether a character set could matter: bytes beyond ASCII, or an escape, in front of the pixel data."""
    element = file.index.get(0x7FE00010)
    stop = min(element.start if element else len(file.body), 1 << 16)
    body = file.body[:stop]
    return not body.isascii() or b"\x1b" in body
