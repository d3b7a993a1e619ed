"""A consistent copy of data_dir, taken while the gateway runs, from which a gateway can go on.

A queue and a spool that are copied one after the other do not fit together: objects arrive and are delivered meanwhile.
Therefore the spool is copied first, in rounds, until few objects are left. Then nobody can write to the queue for as
long as its snapshot and the copy of these last objects take. Objects never change, so that a hard link is a copy.
The ledger is copied in the same way: its full tiles first, the rest while nobody can write to the queue.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import FileMissing, LedgerBroken, ResourceError, SpoolCorrupt, UsageError
from gateway.ledger import folder as ledger
from gateway.ledger.copying import LedgerCopy
from gateway.queue import Queue, is_file_of_queue, open_to_copy
from gateway.runtime import durable, rights
from gateway.spool import LocalSpool
from gateway.spool.local import link_or_copy
from gateway.spool.quarantine import Quarantine
from gateway.work import handover

ROUNDS_MAX = 10
# Objects that may be left for the time in which nobody can write to the queue.
FEW = 16
# Made anew in the copy, or copied in a way of their own. A hand-over lasts as long as somebody waits for the answer.
COPIED_APART = ("lock", "spool", "quarantine", ledger.FOLDER, handover.FOLDER)


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a copy holds.

    files: number of objects.
    bytes: that these objects take.
    missing: names of objects that the queue needs and the spool had lost.
    damaged: names of objects that the queue needs and whose bytes had changed.
    locked_s: how long nobody could write to the queue, seconds.
    """

    files: int
    bytes: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    locked_s: float


def back_up(data_dir: Path, target: Path) -> Backup:
    """Copy `data_dir` to the new folder `target`, which is complete and durable once it has that name.

    The copy holds all objects that were acknowledged before the call and are not delivered yet.

    Raises UsageError when there is nothing to copy, or when `target` exists.
    Raises ResourceError when the copy cannot be made.
    """
    partial = target.with_name(target.name + ".partial")
    with closing(open_to_copy(data_dir)) as queue:
        for folder in (target, partial):
            if folder.exists():
                raise UsageError(
                    f"{folder} exists", hint="Give the name of a new folder, or remove that one."
                )
        try:
            partial.mkdir(mode=0o700, parents=True)
            backup = _copy(queue, data_dir, partial)
            # Made by root, it would be of no use to the service.
            rights.give(partial, like=data_dir)
            durable.sync_tree(partial)
            durable.rename(partial, target)
        except OSError as error:
            raise ResourceError(f"{partial}: {error}", hint="Check space and rights there.") from error
    return backup


def _copy(queue: Queue, data_dir: Path, target: Path) -> Backup:
    """Raises ResourceError, OSError."""
    source, copy = LocalSpool(data_dir, makes=False), LocalSpool(target)
    ledger_copy = LedgerCopy(data_dir / ledger.FOLDER, target / ledger.FOLDER, link=link_or_copy)
    copied: set[str] = set()
    for _ in range(ROUNDS_MAX):
        fresh = set(source.names()) - copied
        source.copy_to(copy, fresh)
        copied |= fresh
        if len(fresh) <= FEW:
            break
    with suppress(LedgerBroken):
        ledger_copy.copy_tiles()
    with queue.snapshot(target) as snapshot:
        ledger_copy.copy_rest()
        needed = snapshot.files
        source.copy_to(copy, needed - copied)
    locked_s = time.monotonic() - snapshot.locked_at
    copy.remove(copied - needed)
    Quarantine(data_dir).copy_to(target)
    _copy_others(data_dir, target)
    return _checked(copy, needed, locked_s)


def _copy_others(data_dir: Path, target: Path) -> None:
    """What else lies in data_dir, for example the key of pseudonyms and the log of accesses. Raises OSError."""
    for path in data_dir.iterdir():
        if path.name in COPIED_APART or is_file_of_queue(path.name):
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


def _checked(copy: LocalSpool, needed: frozenset[str], locked_s: float) -> Backup:
    missing, damaged, size = [], [], 0
    for name in sorted(needed):
        try:
            size += copy.check(name)
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
