"""What a queue promises to the service, and to people."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gateway.queue.model import (
    Arrival,
    Depth,
    Files,
    Job,
    Kept,
    Notes,
    Prepared,
    Priority,
    Put,
    Snapshot,
    State,
    Step,
)


class Queue(Protocol):
    """What receiver and workers need. Methods are durable when they return and thread-safe."""

    def known(self, *, pseudonym: str, route_key: str, digest: str) -> bool:
        """Whether these bytes were put before on this route. Parked jobs of theirs become ready again.

        False also when a job of theirs is parked because its file is missing or corrupt: `put` mends it.
        """

    def put(self, arrival: Arrival) -> Put:
        """Putting a known one again changes nothing.

        Except when its file was lost or damaged: then `incoming` takes its place (NEW), and what is not yet
        delivered is prepared anew. With `changed` "hold" a changed one waits for a person. Raises ChangedInstance,
        having changed nothing, with "refuse".
        """

    def claim(
        self, worker: str, *, step: Step, destination: str = "", limit: int, lease_s: float
    ) -> list[Job]:
        """The most urgent jobs that are due, of these the oldest, or none, at once.

        A lease has one holder until it ends. None for a destination that a person paused.
        """

    def extend(self, worker: str, ids: Sequence[int], *, lease_s: float) -> None:
        """Leases of `worker` end `lease_s` from now. Jobs it does not hold are left alone."""

    def prepared(self, worker: str, job: Job, outcome: Prepared) -> bool:
        """The prepare job is done, its deliveries are ready. False, nothing changed, without the lease."""

    def delivered(self, worker: str, jobs: Sequence[Job], *, keep: bool = False) -> Files:
        """Those that `worker` still holds are done. Returns the files of instances that are now finished.

        keep: these files stay instead, until `purge`.
        """

    def retry(
        self,
        worker: str,
        job: Job,
        *,
        delay_s: float,
        reason: str,
        hint: str,
        counted: bool = True,
        died: bool = False,
    ) -> None:
        """Ready again after `delay_s`. counted: this was an attempt. died: its worker died over it."""

    def give_back(self, worker: str, jobs: Sequence[Job]) -> None:
        """Ready again at once, as if never claimed."""

    def park(self, worker: str, job: Job, *, reason: str, hint: str) -> None:
        """Waits for a person."""

    def paused(self, destination: str) -> bool:
        """Whether a person paused it."""

    def overtaken(self, destination: str, *, priority: Priority) -> bool:
        """Whether a delivery there is due that is more urgent than `priority`."""

    def unreachable(self, destination: str) -> None:
        """Nobody answers there, until something is delivered."""

    def fail_over(self, destination: str, *, other: str, after_s: float) -> int:
        """Deliver to `other` as well what `destination` has not taken for `after_s`. How many.

        That is: deliveries whose first failure is that old, and, if nobody has answered there for so long, all that
        are ready. None while it is paused. The deliveries to `destination` stay as they are.
        """

    def expire(self) -> int:
        """Jobs whose lease ended become ready, one death the more. How many."""

    def release_all(self) -> int:
        """At start, when no worker can be alive: every leased job becomes ready. How many."""

    def files(self) -> set[str]:
        """Spool names that instances need which are unfinished or kept."""

    def kept(self) -> list[Kept]:
        """The one finished first comes first."""

    def purge(self, instance_ids: Sequence[int]) -> Files:
        """Keep them no longer. Returns their files; none of instances that are not, or not any more, finished."""

    def forget(self, *, finished_before: float) -> int:
        """Remove ledger rows of instances finished before (Unix seconds) and not kept. How many."""

    def depth(self) -> list[Depth]:
        """For metrics; finished jobs are left out."""

    def snapshot(self, target: Path) -> AbstractContextManager[Snapshot]:
        """Copy the queue, while others use it, to the folder `target`, from which a gateway can go on.

        Within the block nobody can write to the queue, so that no object that the copy needs is removed. The copy
        is complete when the block begins, but not synced.

        target: a folder without a queue.

        Raises ResourceError when the queue stays locked, or `target` cannot be written.
        """

    def check(self) -> None:
        """Raises ResourceError unless the queue can be written."""

    def close(self) -> None: ...


class QueueAdmin(Protocol):
    """What people do with the queue. Selections are job ids; each method returns the ids that it changed."""

    def list(
        self,
        *,
        state: State | None = None,
        destination: str | None = None,
        pseudonym: str | None = None,
        study: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
    ) -> list[Job]:
        """Oldest first; without `state` all that are not done or dropped.

        study: pseudonym of the Study Instance UID. since, until: received at or after, before (Unix seconds).
        """

    def show(self, job_id: int) -> Job | None: ...

    def retry(self, ids: Sequence[int]) -> Sequence[int]:
        """Parked jobs, and ready ones that wait for their time, become ready now with fresh attempts.

        A delivery older than what its destination has is dropped instead (reason "superseded"), also on release.
        """

    def resend(self, ids: Sequence[int]) -> Sequence[int]:
        """Deliveries that are done are made once more, if their files are kept and no newer version followed."""

    def hold(self, ids: Sequence[int]) -> Sequence[int]:
        """Ready, waiting and parked jobs are kept back until released."""

    def release(self, ids: Sequence[int]) -> Sequence[int]:
        """Held jobs go on."""

    def drop(self, ids: Sequence[int]) -> Sequence[int]:
        """Given up, unless leased or done. The service's next clean-up removes their files."""

    def pass_on(self, ids: Sequence[int]) -> Sequence[int]:
        """Parked prepare jobs are done as they are: what was received is delivered (level pass, "released")."""

    def pause(self, destination: str) -> bool:
        """Nothing more is sent there until `resume`, also after a restart. False if it was paused already."""

    def resume(self, destination: str) -> bool:
        """False if it was not paused."""

    def depth(self) -> builtins.list[Depth]:
        """As Queue.depth."""

    def notes(self) -> builtins.list[Notes]:
        """Of those destinations of which anything was ever noted."""

    def close(self) -> None: ...
