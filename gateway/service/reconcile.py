"""Spool and queue brought to agree: at start, and from time to time while running."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.errors import FileMissing
from gateway.observe import Log
from gateway.queue import Kept, Queue
from gateway.spool import Spool

# A file is named before its job is committed; younger ones may belong to a job that is about to appear.
ORPHAN_AGE_S = 3600.0
PURGED_AT_ONCE = 100  # while the disk is below its watermark


def at_start(queue: Queue, spool: Spool, log: Log) -> None:
    """Call before anything else uses them. Raises ResourceError.

    Files that no job needs were never acknowledged, were replaced by a second attempt, or are of instances that
    people dropped: they go. Jobs whose file is missing stay and are parked when it is their turn.
    """
    leftovers = spool.clear_drafts()
    released = queue.release_all()
    removed = remove_orphans(queue, spool, older_than_s=0.0)
    missing = sum(_size(spool, name) is None for name in queue.files())
    log.info("reconciled", unfinished_writes=leftovers, released=released, orphans=removed, missing=missing)


def remove_orphans(queue: Queue, spool: Spool, *, older_than_s: float = ORPHAN_AGE_S) -> int:
    """Remove files that nothing in the queue needs. How many."""
    found = list(
        spool.names(older_than_s=older_than_s)
    )  # before the queue is asked, so that none is too new for it
    needed = queue.files()
    orphans = [name for name in found if name not in needed]
    spool.remove(orphans)
    return len(orphans)


def retain(queue: Queue, spool: Spool, *, keep_hours: float, keep_bytes: int) -> int:
    """Remove files of delivered objects that are older than `keep_hours`, and the oldest beyond `keep_bytes`.

    And as many more as it takes to bring the disk above its watermark. Of what is not delivered everywhere nothing
    is removed. Returns the bytes that stay.
    """
    earliest = time.time() - keep_hours * 3600
    kept = [(instance, sum(_size(spool, name) or 0 for name in instance.files)) for instance in queue.kept()]

    def remove(several: Sequence[tuple[Kept, int]]) -> None:
        spool.remove(queue.purge([instance.instance_id for instance, _ in several]))

    excess, left = 0, sum(size for _, size in kept)
    while excess < len(kept) and (kept[excess][0].finished_at < earliest or left > keep_bytes):
        left -= kept[excess][1]
        excess += 1
    if excess:
        remove(kept[:excess])
    rest = kept[excess:]
    while rest and not spool.has_room():
        remove(rest[:PURGED_AT_ONCE])
        rest = rest[PURGED_AT_ONCE:]
    return sum(size for _, size in rest)


def _size(spool: Spool, name: str) -> int | None:
    """None for an object that the spool lost."""
    try:
        return spool.size(name)
    except FileMissing:
        return None


def forget(queue: Queue, *, remember_hours: float) -> int:
    """Shorten the ledger to the time for which repeated arrivals are to be recognised."""
    return queue.forget(finished_before=time.time() - remember_hours * 3600)
