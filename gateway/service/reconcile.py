"""Makes spool and queue agree: at start, and from time to time while the gateway runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.errors import FileMissing
from gateway.observe import Log
from gateway.queue import Kept, Queue
from gateway.spool import Spool

# An object is in the spool before its job is in the queue. A younger one may belong to a job that is about to appear.
ORPHAN_AGE_S = 3600.0
# Instances, while the disk is below its watermark.
PURGED_AT_ONCE = 100


def at_start(queue: Queue, spool: Spool, log: Log) -> None:
    """Call this before anything else uses queue and spool.

    Objects that no job needs are removed. They were never acknowledged, or a second attempt replaced them, or a person
    dropped their instance. Jobs whose object is missing stay, and are parked when it is their turn.

    Raises ResourceError.
    """
    leftovers = spool.clear_drafts()
    released = queue.release_all()
    removed = remove_orphans(queue, spool, older_than_s=0.0)
    missing = sum(_size(spool, name) is None for name in queue.files())
    log.info("reconciled", unfinished_writes=leftovers, released=released, orphans=removed, missing=missing)


def remove_orphans(queue: Queue, spool: Spool, *, older_than_s: float = ORPHAN_AGE_S) -> int:
    """Remove objects that nothing in the queue needs.

    older_than_s: age, seconds, below which an object stays.

    Returns how many were removed.
    """
    # The spool is listed before the queue is asked, so that no object is too new for the queue.
    names = list(spool.names(older_than_s=older_than_s))
    needed = queue.files()
    orphans = [name for name in names if name not in needed]
    spool.remove(orphans)
    return len(orphans)


def retain(queue: Queue, spool: Spool, *, keep_hours: float, keep_bytes: int) -> int:
    """Remove objects that were delivered everywhere and have been kept for long enough.

    More of them are removed, the oldest first, while the disk is below its watermark. Objects that are not delivered
    everywhere stay.

    keep_hours: how long they are kept after delivery.
    keep_bytes: how many bytes of them are kept at most; the oldest go first.

    Returns the bytes of those that stay.
    """
    earliest = time.time() - keep_hours * 3600
    kept = [(instance, sum(_size(spool, name) or 0 for name in instance.files)) for instance in queue.kept()]

    def remove(instances: Sequence[tuple[Kept, int]]) -> None:
        spool.remove(queue.purge([instance.instance_id for instance, _ in instances]))

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
    """Forget what the queue remembers for longer than `remember_hours`: repetitions of it are not recognised any more.

    Returns how many instances.
    """
    return queue.forget(finished_before=time.time() - remember_hours * 3600)
