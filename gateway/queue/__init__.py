"""The queue: what must still be done with which instance, durable, steered by people.

`open_queue` is for the service, `open_admin` for people (`sealgate queue`).
"""

from __future__ import annotations

from gateway.config import Config
from gateway.errors import ResourceError
from gateway.queue.commitments import Commitments
from gateway.queue.contract import Queue, QueueAdmin
from gateway.queue.model import Arrival, Depth, Job, Kept, Notes, Prepared, Priority, Put, State, Step
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.commitments import SqliteCommitments
from gateway.queue.sqlite.queue import SqliteQueue

__all__ = [
    "Arrival",
    "Commitments",
    "Depth",
    "Job",
    "Kept",
    "Notes",
    "Prepared",
    "Priority",
    "Put",
    "Queue",
    "QueueAdmin",
    "State",
    "Step",
    "open_admin",
    "open_commitments",
    "open_queue",
]

FILE_NAME = "queue.sqlite"


def open_queue(config: Config) -> Queue:
    """Raises ResourceError when the file can't be opened, or is missing where objects are in the spool."""
    folder = config.gateway.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE_NAME).exists() and any((folder / "spool").glob("??/*.dcm")):
        # A new queue would need none of them, and they would be removed.
        raise ResourceError(
            f"{folder}: objects are in the spool, but {FILE_NAME} is missing",
            hint="Restore it from a back-up of the same time, or move the folder spool away.",
        )
    return SqliteQueue(config.gateway.data_dir / FILE_NAME)


def open_commitments(config: Config) -> Commitments:
    """Raises ResourceError when the file can't be opened."""
    return SqliteCommitments(config.gateway.data_dir / FILE_NAME)


def open_admin(config: Config) -> QueueAdmin:
    """Raises ResourceError when the file can't be opened."""
    config.gateway.data_dir.mkdir(parents=True, exist_ok=True)
    return SqliteQueueAdmin(config.gateway.data_dir / FILE_NAME)
