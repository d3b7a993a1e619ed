"""A copy of the queue's file that fits together, taken while others write to it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.errors import ResourceError

LOCK_TIMEOUT_S = 30.0


@contextmanager
def snapshot(source: Path, target: Path) -> Iterator[float]:
    """Copy the file `source` to the new file `target`. Within the block nobody can write to `source`.

    Yields since when nobody can, `time.monotonic()`.
    Raises ResourceError.
    """
    try:
        with closing(sqlite3.connect(source, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            try:
                locked_at = time.monotonic()
                _copy(source, target)
                yield locked_at
            finally:
                lock.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise ResourceError(f"{target}: {error}", hint="Check space and rights there.") from error


def _copy(source: Path, target: Path) -> None:
    """By SQLite's online backup, https://www.sqlite.org/backup.html, which reads beside the lock."""
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
