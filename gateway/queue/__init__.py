"""The queue: what must still be done with which instance, durable, steered by people.

`open_queue` is for the service, `open_admin` for people (`sealgate queue`), `open_to_copy` for back-ups.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config
from gateway.errors import ResourceError, UsageError
from gateway.queue.commitments import Commitments
from gateway.queue.contract import Queue, QueueAdmin
from gateway.queue.model import Arrival, Depth, Job, Kept, Notes, Prepared, Priority, Put, State, Step
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.commitments import SqliteCommitments
from gateway.queue.sqlite.database import FILE_NAME, FILE_NAMES
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
    "is_file_of_queue",
    "open_admin",
    "open_commitments",
    "open_queue",
    "open_to_copy",
]


def open_queue(config: Config, *, holds_objects: bool) -> Queue:
    """Open the queue of a data folder, and make it where there is none.

    holds_objects: whether objects are in the spool.

    Raises ResourceError when the queue can't be opened, or is missing although there are objects.
    """
    folder = config.gateway.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    if holds_objects and not (folder / FILE_NAME).exists():
        # A new queue would need none of them, and they would be removed.
        raise ResourceError(
            f"{folder}: objects are in the spool, but {FILE_NAME} is missing",
            hint="Restore it from a back-up of the same time, or move the folder spool away.",
        )
    return SqliteQueue(folder / FILE_NAME)


def open_to_copy(data_dir: Path) -> Queue:
    """Open the queue for its `snapshot`. One that an older version made, and may still use, is left as it is.

    Raises UsageError when there is no queue.
    Raises ResourceError when it can't be opened.
    """
    return SqliteQueue(_existing(data_dir), migrate=False)


def open_commitments(config: Config) -> Commitments:
    """Open the requests of storage commitment. Raises ResourceError when they can't be opened."""
    return SqliteCommitments(config.gateway.data_dir / FILE_NAME)


def open_admin(config: Config) -> QueueAdmin:
    """Open the queue for people, who make none: it would be theirs, and the service could not write to it.

    Raises UsageError when there is no queue.
    Raises ResourceError when it can't be opened.
    """
    return SqliteQueueAdmin(_existing(config.gateway.data_dir))


def _existing(data_dir: Path) -> Path:
    """Raises UsageError when there is no queue."""
    path = data_dir / FILE_NAME
    if not path.is_file():
        raise UsageError(
            f"{data_dir} holds no queue", hint="Look at gateway.data_dir; `sealgate serve` makes the queue."
        )
    return path


def is_file_of_queue(name: str) -> bool:
    """Whether the file `name` in a data folder belongs to the queue, and is copied by its `snapshot` alone."""
    return name in FILE_NAMES
