"""A consistent copy of data_dir, taken while the gateway runs, from which a gateway can go on.

A queue and a spool that are copied one after the other do not fit together: objects arrive and are delivered meanwhile.
Here the spool is copied first, in rounds, until little is left; then the queue can't be written for as long as its
snapshot (SQLite's online backup) and the last files take. Spool files never change, so that a hard link is a copy.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import (
    FileMissing,
    ResourceError,
    SpoolCorrupt,
    UsageError,
)
from gateway.queue import FILE_NAME
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.spool import Spool

ROUNDS_MAX = 10
FEW = 16  # files left for the time in which the queue can't be written
LOCK_TIMEOUT_S = 30.0
NOT_LINKED = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
# Made anew or copied in a way of their own.
APART = ("lock", "spool", "quarantine")
APART_SUFFIXES = (".sqlite", "-wal", "-shm", "-journal")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """files, bytes: of the spool. missing, damaged: spool names that the queue needs and the copy lacks."""

    files: int
    bytes: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    locked_s: float


def back_up(data_dir: Path, target: Path) -> Backup:
    """Copy to the new folder `target`, which is complete and durable once it has that name.

    It holds all that was acknowledged before the call and not delivered by then. Raises UsageError when there is
    nothing to copy or `target` exists, ResourceError.
    """
    partial = target.with_name(target.name + ".partial")
    if not (data_dir / FILE_NAME).is_file():
        raise UsageError(f"{data_dir} holds no queue", hint="Look at gateway.data_dir.")
    for folder in (target, partial):
        if folder.exists():
            raise UsageError(f"{folder} exists", hint="Give the name of a new folder, or remove that one.")
    try:
        partial.mkdir(mode=0o700, parents=True)
        backup = _copy(data_dir, partial)
        _sync_tree(partial)
        partial.rename(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise ResourceError(f"{partial}: {error}", hint="Check space and rights there.") from error
    return backup


def _copy(data_dir: Path, target: Path) -> Backup:
    source, copy = Spool(data_dir), Spool(target)
    copied: set[str] = set()
    for _ in range(ROUNDS_MAX):
        fresh = set(source.names()) - copied
        _place_all(source, copy, fresh)
        copied |= fresh
        if len(fresh) <= FEW:
            break
    with _unwritten(data_dir / FILE_NAME):
        began = time.monotonic()
        for database in data_dir.glob("*.sqlite"):
            _snapshot(database, target / database.name)
        needed = _needed(target / FILE_NAME)
        _place_all(source, copy, needed - copied)
        locked_s = time.monotonic() - began
    copy.remove(copied - needed)
    _copy_beside(data_dir, target)
    return _checked(copy, needed, locked_s)


@contextmanager
def _unwritten(path: Path) -> Iterator[None]:
    """Nobody writes to the queue, so no file that it needs is removed, within the block."""
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _snapshot(database: Path, target: Path) -> None:
    """https://www.sqlite.org/backup.html"""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _needed(path: Path) -> set[str]:
    queue = SqliteQueue(path)
    try:
        return queue.files()
    finally:
        queue.close()


def _place_all(source: Spool, copy: Spool, names: Iterable[str]) -> None:
    for name in names:
        _place(source.path(name), copy.path(name))


def _place(source: Path, target: Path) -> None:
    """A hard link, or a copy on another disk. Nothing when the file is gone: it was delivered meanwhile."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in NOT_LINKED:
            raise
        try:
            shutil.copy2(source, target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)


def _copy_beside(data_dir: Path, target: Path) -> None:
    """What else lies in data_dir: quarantine, the key of pseudonyms, records of access."""
    for path in (data_dir / "quarantine").iterdir():
        _place(path, target / "quarantine" / path.name)
    for path in data_dir.iterdir():
        if path.name in APART or path.name.endswith(APART_SUFFIXES):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


def _checked(copy: Spool, needed: set[str], locked_s: float) -> Backup:
    missing, damaged, size = [], [], 0
    for name in sorted(needed):
        try:
            size += copy.checked(name)
        except FileMissing:
            missing.append(name)
        except SpoolCorrupt:
            damaged.append(name)
    return Backup(
        files=len(needed) - len(missing),
        bytes=size,
        missing=tuple(missing),
        damaged=tuple(damaged),
        locked_s=locked_s,
    )


def _sync_tree(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
