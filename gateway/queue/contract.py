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
    Unlogged,
)


class Queue(Protocol):
    """What the intake and the workers need.

    Methods are thread-safe, and what they change is durable when they return. Each raises ResourceError when the
    queue cannot be read or written.
    """

    def known(self, *, pseudonym: str, route_key: str, digest: str) -> bool:
        """Whether these bytes were put before on this route. If so, parked jobs of the instance become ready again.

        False also when one of its jobs is parked because its object is missing or corrupt: `put` mends that.
        """

    def put(self, arrival: Arrival) -> Put:
        """Take an instance in. Putting a known one again changes nothing.

        There is one exception: when the object of a known instance was lost or damaged, `incoming` takes its place
        (NEW), and what is not delivered yet is prepared anew. With `changed` "hold" a changed instance waits for a
        person.

        Raises ChangedInstance for a changed instance with `changed` "refuse"; then nothing is changed.
        """

    def claim(
        self, worker: str, *, step: Step, destination: str = "", limit: int, lease_s: float
    ) -> list[Job]:
        """The most urgent jobs that are due, of these the oldest. Returns at once, also when there are none.

        A lease has one holder until it ends. A destination that a person paused has no jobs.

        worker: who holds the lease.
        destination: its name, for the step DELIVER.
        limit: how many jobs at most.
        lease_s: how long the lease lasts, seconds.
        """

    def extend(self, worker: str, ids: Sequence[int], *, lease_s: float) -> None:
        """The leases of `worker` on these jobs end `lease_s` from now. Jobs that it does not hold are left alone."""

    def prepared(self, worker: str, job: Job, outcome: Prepared) -> bool:
        """The prepare job is done, and its deliveries are ready.

        Its entry of the ledger is kept with that, for `unlogged`; unless all its deliveries were dropped at once,
        because their destinations have a newer version.

        Returns False when `worker` does not hold the lease any more; then nothing is changed.
        """

    def unlogged(self, *, limit: int) -> list[Unlogged]:
        """The entries that the ledger does not have yet, in the order in which their instances arrived.

        That of a newer version is left out while an older one of the same instance is still to be prepared: the newest
        version is the last one in the ledger.

        limit: how many at most.
        """

    def unlogged_count(self) -> int:
        """How many there are."""

    def logged(self, ids: Sequence[int]) -> None:
        """The ledger has these entries, durably: they are forgotten here."""

    def delivered(self, worker: str, jobs: Sequence[Job], *, keep: bool = False) -> Files:
        """Those of the jobs that `worker` still holds are done.

        keep: the objects of finished instances stay until `purge`.

        Returns the names of the objects that are not needed any more.
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
        """The job is ready again after `delay_s` seconds.

        reason, hint: why it failed.
        counted: whether this was an attempt.
        died: whether its worker died over it.
        """

    def give_back(self, worker: str, jobs: Sequence[Job]) -> None:
        """The jobs are ready again at once, as if they had never been claimed."""

    def park(self, worker: str, job: Job, *, reason: str, hint: str) -> None:
        """The job waits for a person. reason, hint: why."""

    def paused(self, destination: str) -> bool:
        """Whether a person paused the destination."""

    def overtaken(self, destination: str, *, priority: Priority) -> bool:
        """Whether a delivery to the destination is due that is more urgent than `priority`."""

    def unreachable(self, destination: str) -> None:
        """Note that nobody answers at the destination. The note stays until something is delivered there."""

    def answered_by(self, destination: str, gateway: str | None) -> None:
        """Note which gateway answers at the destination, before anything is sent there. None: another program."""

    def comes_back(self, *, pseudonym: str, route_key: str, calling: str, gateway: str) -> bool:
        """Whether an instance that a gateway brings has gone out to a gateway by the same route before.

        calling: the AE title with which it comes. Where it is that of the first time, the gateway may just repeat
        itself; then it comes back only if it has gone out to that very gateway.
        gateway: id of the one that brings it.
        """

    def fail_over(self, destination: str, *, other: str, after_s: float) -> int:
        """Deliver to `other` as well what `destination` has not taken for `after_s` seconds.

        These are the deliveries whose first failure is that old. If nobody has answered at `destination` for that long,
        these are all deliveries that are ready. While `destination` is paused there are none. The deliveries to
        `destination` stay as they are.

        Returns how many.
        """

    def expire(self) -> int:
        """Jobs whose lease ended become ready again, and one more death is counted for each. Returns how many."""

    def release_all(self) -> int:
        """At start, when no worker can be alive: every leased job becomes ready. Returns how many."""

    def files(self) -> set[str]:
        """Names of the objects that unfinished or kept instances need."""

    def kept(self) -> list[Kept]:
        """The instances whose objects are kept. The one that was finished first comes first."""

    def purge(self, instance_ids: Sequence[int]) -> Files:
        """Keep the objects of these instances no longer.

        Instances that are not finished, or not any more, are left alone.

        Returns the names of the objects.
        """

    def forget(self, *, finished_before: float) -> int:
        """Forget instances that were finished before that time (Unix seconds) and are not kept. Returns how many."""

    def depth(self) -> list[Depth]:
        """How many jobs are in which state. Finished jobs are left out."""

    def snapshot(self, target: Path) -> AbstractContextManager[Snapshot]:
        """Copy the queue, while others use it, to the folder `target`, from which a gateway can go on.

        Within the block nobody can write to the queue, so that no object that the copy needs is removed. The copy
        is complete when the block begins, but not synced.

        target: a folder without a queue.

        Raises ResourceError when the queue stays locked, or `target` cannot be written.
        """

    def check(self) -> None:
        """Raises ResourceError when the queue cannot be written."""

    def close(self) -> None: ...


class QueueAdmin(Protocol):
    """What people do with the queue.

    Methods that take job ids return those of the jobs that they changed. Each method raises ResourceError when the
    queue cannot be read or written.
    """

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
        """Jobs that meet all the conditions, the oldest first.

        state: None: all jobs that are not done or dropped.
        pseudonym: of the SOP Instance UID.
        study: pseudonym of the Study Instance UID.
        since: received at that time or later, Unix seconds.
        until: received before that time, Unix seconds.
        limit: how many at most.
        """

    def show(self, job_id: int) -> Job | None: ...

    def retry(self, ids: Sequence[int]) -> Sequence[int]:
        """Parked jobs, and ready ones that wait for their time, become ready now with fresh attempts.

        A delivery that is older than what its destination has is dropped instead (reason "superseded"). The same holds
        for `release`.
        """

    def resend(self, ids: Sequence[int]) -> Sequence[int]:
        """Deliveries that are done are made once more, if their objects are kept and no newer version followed."""

    def hold(self, ids: Sequence[int]) -> Sequence[int]:
        """Ready, waiting and parked jobs are kept back until released."""

    def release(self, ids: Sequence[int]) -> Sequence[int]:
        """Held jobs go on."""

    def drop(self, ids: Sequence[int]) -> Sequence[int]:
        """Jobs are given up, unless they are leased or done. The service's next clean-up removes their objects."""

    def pass_on(self, ids: Sequence[int]) -> Sequence[int]:
        """Parked prepare jobs are done without preparing: the received object is delivered (level pass, "released").

        Not those of the action release: what they received may still carry its patient.
        """

    def pause(self, destination: str) -> bool:
        """Nothing more is sent to the destination until `resume`, also after a restart.

        Returns False when it was paused already.
        """

    def resume(self, destination: str) -> bool:
        """Send to the destination again. Returns False when it was not paused."""

    def depth(self) -> builtins.list[Depth]:
        """The same as `Queue.depth`."""

    def notes(self) -> builtins.list[Notes]:
        """What is noted of destinations. A destination of which nothing was ever noted is left out."""

    def close(self) -> None: ...
