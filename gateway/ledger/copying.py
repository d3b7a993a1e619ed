"""A copy of the ledger, taken while the service adds to it, from which a gateway can go on.

The name is left out: the ledger that is copied grows on under it, and two trees of one size and one name would
contradict each other. The copy goes on under a name of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.errors import LedgerBroken
from gateway.ledger.folder import CHECKPOINT, KEYS, OPEN, ORIGIN, STAMPS, LedgerFolder
from gateway.ledger.tiles import WIDTH, bundle_path, tile_path
from gateway.ledger.writing import FILE_MODE, FOLDER_MODE


class LedgerCopy:
    """Copies in two steps: what never changes first, which may take long; the rest while the queue stands still.

    Then no entry is in neither the queue nor the ledger of the copy, and one that is in both is known again.
    """

    def __init__(self, source: Path, target: Path, *, link: Callable[[Path, Path], None]) -> None:
        """source, target: folders; target is made.
        link: makes the second path a link to the first, or a copy; does nothing when that is not there.
        """
        self._source, self._target, self._link = LedgerFolder(source), target, link
        self._copied = 0

    def copy_tiles(self) -> None:
        """Copy full tiles and bundles that were not copied yet. Raises ResourceError, LedgerBroken, OSError."""
        if self._source.exists:
            self._copy_up_to(self._source.open_bundle().base)

    def copy_rest(self) -> None:
        """Copy what is left. Nobody may write to the queue meanwhile. A damaged ledger is copied as it is.

        Raises ResourceError, OSError.
        """
        if not self._source.path.exists():
            return
        try:
            self._copy_rest()
        except LedgerBroken:
            shutil.rmtree(self._target, ignore_errors=True)
            shutil.copytree(self._source.path, self._target, ignore=shutil.ignore_patterns(ORIGIN))

    def _copy_rest(self) -> None:
        # The checkpoint first: what is signed is in the file of last entries already.
        contents = {CHECKPOINT: self._content(CHECKPOINT)}
        last = self._source.open_bundle()
        contents |= {OPEN: last.encode(), KEYS: self._content(KEYS)}
        self._copy_up_to(last.base)
        for size in self._source.stamps():
            for suffix in ("checkpoint", "tst"):
                contents[f"{STAMPS}/{size}.{suffix}"] = self._content(f"{STAMPS}/{size}.{suffix}")
        for name, content in contents.items():
            if content is not None:
                path = self._target / name
                path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
                path.touch(mode=FILE_MODE)
                path.write_bytes(content)

    def _copy_up_to(self, base: int) -> None:
        for name in _full_files(self._copied, base):
            path = self._target / name
            path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._link(self._source.path / name, path)
        self._copied = base

    def _content(self, name: str) -> bytes | None:
        try:
            return (self._source.path / name).read_bytes()
        except FileNotFoundError:
            return None


def _full_files(before: int, base: int) -> Iterator[str]:
    """The files that a ledger of `base` entries has, and one of `before` entries not. Both are multiples of 256."""
    for number in range(before // WIDTH, base // WIDTH):
        yield bundle_path(number)
    level, had, has = 0, before // WIDTH, base // WIDTH
    while has:
        for number in range(had, has):
            yield tile_path(level, number)
        level, had, has = level + 1, had // WIDTH, has // WIDTH
