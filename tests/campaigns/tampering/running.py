"""Seals one object of each kind, changes it in every way that applies, verifies, and counts what was found."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from subprocess import SubprocessError

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway import keys
from gateway.errors import GatewayError
from gateway.seal import seal
from gateway.seal.codec import Codec
from gateway.seal.findings import GOOD, Report
from gateway.seal.verifying import verify
from tests.campaigns.tampering import kinds, signature
from tests.campaigns.tampering.change import TILES, Change, Scene, Way
from tests.support.desk import Desk
from tests.support.orthanc import Orthanc

# What tools, archives and pydicom raise for objects that they can't change.
CANNOT = (
    AssertionError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, OSError, RuntimeError,
    GatewayError, SubprocessError,
)  # fmt: skip
SEALED_AT = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """What was found of one change of one object.

    kind: of the object.
    level: of its seal.
    verdict: after the change.
    good: whether that verdict is a good one.
    named: whether what changed was named; True when there is nothing to name.
    expected: whether the verdict is one of those expected.
    said: keywords and failed checks, for people who look why.
    md5: whether the checksum that an archive keeps would tell.
    signed: whether a PS3.15 signature after the Creator profile would tell.
    """

    kind: str
    level: str
    verdict: str
    good: bool
    named: bool
    expected: bool
    said: str
    md5: bool
    signed: bool

    @property
    def found(self) -> bool:
        """The object does not verify good, and what changed is named."""
        return not self.good and self.named


@dataclass
class Row:
    """All findings about one change."""

    change: Change
    findings: list[Finding] = field(default_factory=list)
    # Kinds where the tool could not do it, and why.
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, what: Callable[[Finding], bool]) -> int:
        return sum(map(what, self.findings))


@dataclass(frozen=True)
class Workbench:
    """Keys, networks, a folder, and an archive, if there is one."""

    desk: Desk
    stranger: Desk
    folder: Path
    orthanc: Orthanc | None = None

    @classmethod
    def build(cls, folder: Path, codec: Codec, orthanc: Orthanc | None = None) -> Workbench:
        for name in ("keys", "stranger"):
            keys.generate(folder / name)
        return cls(Desk.of(folder / "keys", codec), Desk.of(folder / "stranger", codec), folder, orthanc)


@dataclass(frozen=True)
class Subject:
    """One object, sealed, with what stands beside it."""

    kind: str
    original: bytes
    bench: Workbench

    @cached_property
    def sealed(self) -> bytes:
        return self._seal(self.original)

    @cached_property
    def level(self) -> str:
        report = self.verify(self.sealed)
        return str(report.level or "")

    @cached_property
    def header(self) -> Dataset:
        return dcmread(self._file("source", self.sealed))

    @property
    def is_sealed(self) -> bool:
        """Whether it carries a seal that verifies good; level pass carries none."""
        return self.verify(self.sealed).verdict in GOOD

    @cached_property
    def scene(self) -> Scene:
        return Scene(
            source=self._file("source", self.sealed),
            original=self._file("original", self.original),
            sibling=self._file("sibling", self._seal(kinds.sibling(self.original))),
            older=self._file("older", self._seal(kinds.older(self.original))),
            stranger=self.bench.stranger,
            folder=self.bench.folder,
            orthanc=self.bench.orthanc,
        )

    def verify(self, data: bytes) -> Report:
        """Without the recipient's key, as a workstation verifies."""
        return verify(data, trusted=self.bench.desk.trusted, recipient_key=None, codec=self.bench.desk.codec)

    def _seal(self, data: bytes) -> bytes:
        desk = self.bench.desk
        sealed, _ = seal(data, recipient=desk.recipient, signer=desk.signer, codec=desk.codec, now=SEALED_AT)
        return sealed

    def _file(self, name: str, data: bytes) -> Path:
        path = self.bench.folder / f"{name}.dcm"
        path.write_bytes(data)
        return path


def changed(change: Change, subject: Subject) -> Path:
    """The changed object.

    Raises AssertionError when the tool did not do what it was asked for.
    """
    target = subject.bench.folder / "changed.dcm"
    target.unlink(missing_ok=True)
    change.apply(subject.scene, target)
    assert target.is_file(), f"{change.name}: no file"
    assert change.proof(subject.scene.source, target), f"{change.name}: nothing changed"
    return target


def examined(change: Change, subject: Subject) -> Finding:
    """Change the object and verify it."""
    target = changed(change, subject)
    report = subject.verify(target.read_bytes())
    verdict = str(report.verdict)
    return Finding(
        kind=subject.kind,
        level=subject.level,
        verdict=verdict,
        good=report.verdict in GOOD,
        named=not change.names or any(is_named(report, name) for name in change.names),
        expected=verdict in change.expected,
        said=said(report),
        md5=change.way is Way.DISK and _md5(subject.scene.source) != _md5(target),
        signed=signature.breaks(subject.scene.source, target),
    )


def is_named(report: Report, name: str) -> bool:
    """Whether the report names an element, at whatever depth, or tiles."""
    if name == TILES:
        return bool(report.tampered_tiles)
    keywords = " ".join(str(difference.get("keyword", "")) for difference in report.header_differences)
    details = " ".join(check.detail for check in report.checks if not check.ok)
    return name in keywords or name in details


def said(report: Report) -> str:
    """Failed checks and keywords."""
    checks = [f"{check.n} {check.name}: {check.detail}" for check in report.checks if not check.ok]
    keywords = [str(difference.get("keyword", "")) for difference in report.header_differences]
    return "; ".join([*checks, *keywords])


def run(
    changes: Iterable[Change],
    objects: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
    bench: Workbench,
    *,
    once_a_level: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """The rows, with findings of every kind that a change applies to.

    once_a_level: a change is done to the first kind of each level that it applies to, and to no other.
    tell: gets a line for each kind.
    """
    rows = [Row(change) for change in changes if bench.orthanc is not None or not change.needs_orthanc]
    for kind, original in objects.items() if isinstance(objects, Mapping) else objects:
        subject = Subject(kind, original, bench)
        done = 0
        if not subject.is_sealed:
            tell(f"{kind}: not sealed")
            continue
        for row in rows:
            if once_a_level and subject.level in {finding.level for finding in row.findings}:
                continue
            try:
                if row.change.applies(subject.header):
                    row.findings.append(examined(row.change, subject))
                    done += 1
            except CANNOT as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                row.failed[kind] = f"{type(error).__name__} in {last.name}: {str(error)[:300]}"
        tell(f"{kind}: {subject.level}, {done} changes")
    return rows


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


__all__ = ["Finding", "Row", "Subject", "Workbench", "changed", "examined", "run"]
