"""One kind of change, and what it is done to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydicom.dataset import Dataset

from tests.support.desk import Desk
from tests.support.orthanc import Orthanc

# Verdicts that say how a change is found, as trust.md has them for format version 2.
TAMPERED = ("tampered",)
MISIDENTIFIED = ("misidentified",)
ALTERED = ("altered",)
# A structure that does not fit the pixels is found by one or the other first.
STRUCTURE = ("tampered", "altered")
# Pixels changed all over: the record may come back, and then it looks like compression.
ALL_OVER = ("tampered", "lossy")
# Two readers see two things: it never verifies good. Which word it gets is left open.
NOT_GOOD = (
    "unreadable",
    "unsealed",
    "unknown-signer",
    "tampered",
    "misidentified",
    "altered",
    "lossy",
    "stripped",
)
GOOD = ("intact", "transcoded", "amended")

# Stands for the tiles of the pixel data in place of a keyword.
TILES = "tiles"


class Way(StrEnum):
    """Which way a changed object gets into the archive."""

    # The file on the disk of the archive is edited, behind its back.
    DISK = "disk"
    # By a function of the archive, or stored again: the archive counts its own checksums anew.
    ARCHIVE = "archive"


@dataclass(frozen=True)
class Scene:
    """A sealed object, and what is at hand for somebody who wants to change it.

    source: the sealed object.
    original: what was sealed.
    sibling: another sealed object of the same kind, of another patient.
    older: the same instance, sealed before with other pixels or another description.
    stranger: keys that nobody trusts.
    folder: for temporary files.
    orthanc: an archive; None in runs without one.
    """

    source: Path
    original: Path
    sibling: Path
    older: Path
    stranger: Desk
    folder: Path
    orthanc: Orthanc | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of the table.

    name: a word for it.
    group: which property it is aimed at.
    person: what a person would do, and to what end.
    tool: with which tool.
    applies: whether it makes sense for an object, by its header.
    apply: does it: writes the changed object to a path.
    proof: whether the changed file (second) really differs from the sealed one in what the name says.
    expected: verdicts of format version 2 that find it.
    names: one of these must be named: keywords, or TILES; empty where there is nothing to name.
    way: into the archive.
    """

    name: str
    group: str
    person: str
    tool: str
    applies: Callable[[Dataset], bool]
    apply: Callable[[Scene, Path], None] = field(repr=False)
    proof: Callable[[Path, Path], bool] = field(repr=False)
    expected: tuple[str, ...]
    names: tuple[str, ...] = ()
    way: Way = Way.DISK

    @property
    def needs_orthanc(self) -> bool:
        return self.tool.startswith("Orthanc")
