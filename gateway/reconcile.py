"""Spool and queue brought to agree: at start, and from time to time while running."""

from __future__ import annotations

import time

from gateway.observe import Log
from gateway.queue import Queue
from gateway.spool import Spool

# A file is named before its job is committed; younger ones may belong to a job that is about to appear.
ORPHAN_AGE_S = 3600.0


def at_start(queue: Queue, spool: Spool, log: Log) -> None:
    """Call before anything else uses them. Raises ResourceError.

    Files that no job needs were never acknowledged, were replaced by a second attempt, or are of instances that
    people dropped: they go. Jobs whose file is missing stay and are parked when it is their turn.
    """
    leftovers = spool.clear_temporary()
    released = queue.release_all()
    removed = remove_orphans(queue, spool, older_than_s=0.0)
    missing = sum(not spool.path(name).exists() for name in queue.files())
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


def forget(queue: Queue, *, remember_hours: float) -> int:
    """Shorten the ledger to the time for which repeated arrivals are to be recognised."""
    return queue.forget(finished_before=time.time() - remember_hours * 3600)
