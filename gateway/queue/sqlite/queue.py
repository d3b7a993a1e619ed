"""The queue in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.errors import ChangedInstance
from gateway.queue.model import (
    Arrival,
    Depth,
    Files,
    Job,
    Kept,
    Prepared,
    Priority,
    Put,
    Snapshot,
    State,
    Step,
    Unlogged,
)
from gateway.queue.sqlite.database import FILE_NAME, Database
from gateway.queue.sqlite.snapshot import snapshot

HELD_HINT = (
    "It differs from what was received before: `sealgate queue release` sends it as well, `drop` discards it."
)
# What an arrival says of its jobs, and what is not in the row of its instance.
_OF_JOBS = frozenset({"destinations", "priority", "changed"})


def as_job(row: sqlite3.Row) -> Job:
    typed = {"step": Step(row["step"]), "state": State(row["state"]), "priority": Priority(row["priority"])}
    return Job(**{**dict(row), **typed})


def depths(database: Database) -> list[Depth]:
    return [
        Depth(**{**dict(row), "step": Step(row["step"]), "state": State(row["state"])})
        for row in database.read("depth")
    ]


def closed_files(
    run: Callable[..., list[sqlite3.Row]], instance_ids: Sequence[int], now: float, *, keep: bool = False
) -> Files:
    """Finish those instances that have nothing left to do.

    keep: their objects stay.

    Returns the names of the objects that are not needed any more.
    """
    ids = json.dumps(list(instance_ids))
    closed = run("close_instances", ids=ids, now=now, keep=int(keep))
    forgotten = run("forget_dropped", ids=ids)
    return _names(forgotten if keep else closed)


def _names(rows: Iterable[sqlite3.Row]) -> Files:
    return [name for row in rows for name in (row["incoming"], row["outgoing"]) if name]


def dropped_superseded(
    run: Callable[..., list[sqlite3.Row]], job_ids: Sequence[int], now: float
) -> list[int]:
    """Drop those of these ready deliveries whose destination has a newer version.

    The queue remembers them as it remembers delivered ones. The service's next clean-up removes their objects.

    Returns the ids of the jobs that were dropped.
    """
    rows = run("drop_superseded", ids=json.dumps(list(job_ids)), now=now)
    if rows:
        run("close_instances", ids=json.dumps([row["instance_id"] for row in rows]), now=now, keep=0)
    return [row["id"] for row in rows]


def _mended(run: Callable[..., list[sqlite3.Row]], arrival: Arrival, now: float) -> bool:
    """Give a known instance the object that just arrived, if its own was lost or damaged.

    Returns whether it was.
    """
    (known,) = run("find_instance", **_named(arrival), route_key=arrival.route_key)
    if not known["lost"]:
        return False
    run("replace_file", id=known["id"], incoming=arrival.incoming)
    run("reopen_jobs", id=known["id"], prepares=int(arrival.action != "pass"), now=now)
    return True


def _named(arrival: Arrival) -> dict[str, str]:
    return {"pseudonym": arrival.pseudonym, "digest": arrival.digest}


def _insert_jobs(
    run: Callable[..., list[sqlite3.Row]], instance_id: int, arrival: Arrival, *, hold: bool, now: float
) -> None:
    """The first step is ready, or held for a person. Deliveries wait for the prepare job, if there is one."""
    first: dict[str, str | None] = {"state": State.READY, "reason": None, "hint": None}
    if hold:
        first = {"state": State.HELD, "reason": ChangedInstance.code, "hint": HELD_HINT}
    waiting = {"state": State.WAITING, "reason": None, "hint": None}
    job = {
        "instance_id": instance_id,
        "pseudonym": arrival.pseudonym,
        "priority": arrival.priority,
        "now": now,
    }
    prepares = arrival.action != "pass"
    if prepares:
        run("insert_job", **job, **first, step=Step.PREPARE, destination="")
    for name in arrival.destinations:
        run("insert_job", **job, **(waiting if prepares else first), step=Step.DELIVER, destination=name)


class SqliteQueue:
    """See gateway.queue.contract.Queue."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, migrate: bool = True) -> None:
        """migrate: bring the schema of an older version up to date; without that only `snapshot` may be used.

        Raises ResourceError.
        """
        self._database = Database(path, clock, migrate=migrate)

    def known(self, *, pseudonym: str, route_key: str, digest: str) -> bool:
        keys = {"pseudonym": pseudonym, "route_key": route_key, "digest": digest}
        rows = self._database.read("find_instance", **keys)
        if not rows or rows[0]["lost"]:
            return False
        with self._database.transaction() as run:
            now = self._database.clock()
            woken = run("wake_parked", instance_id=rows[0]["id"], now=now)
            dropped_superseded(run, [row["id"] for row in woken], now)
        return True

    def put(self, arrival: Arrival) -> Put:
        now = self._database.clock()
        values = {key: value for key, value in vars(arrival).items() if key not in _OF_JOBS}
        with self._database.transaction() as run:
            rows = run("insert_instance", **values, now=now)
            if not rows:
                return Put.NEW if _mended(run, arrival, now) else Put.KNOWN
            changed = run("changed", **_named(arrival), destinations=json.dumps(arrival.destinations))
            if changed and arrival.changed == "refuse":
                raise ChangedInstance("other bytes were received before under the same SOP Instance UID")
            _insert_jobs(
                run, rows[0]["id"], arrival, hold=bool(changed) and arrival.changed == "hold", now=now
            )
        return Put.CHANGED if changed else Put.NEW

    def claim(
        self, worker: str, *, step: Step, destination: str = "", limit: int, lease_s: float
    ) -> list[Job]:
        now = self._database.clock()
        with self._database.transaction() as run:
            rows = run(
                "claim",
                worker=worker,
                step=step,
                destination=destination,
                limit=limit,
                now=now,
                until=now + lease_s,
            )
            if not rows:
                return []
            jobs = [as_job(row) for row in run("jobs_by_id", ids=json.dumps([row["id"] for row in rows]))]
        return sorted(jobs, key=lambda job: (job.priority, job.id))

    def extend(self, worker: str, ids: Sequence[int], *, lease_s: float) -> None:
        with self._database.transaction() as run:
            run("extend", worker=worker, ids=json.dumps(list(ids)), until=self._database.clock() + lease_s)

    def prepared(self, worker: str, job: Job, outcome: Prepared) -> bool:
        now = self._database.clock()
        with self._database.transaction() as run:
            if not run("finish", id=job.id, worker=worker, now=now):
                return False
            run("set_outcome", instance_id=job.instance_id, **vars(outcome))
            opened = run("open_deliveries", instance_id=job.instance_id, now=now)
            dropped = dropped_superseded(run, [row["id"] for row in opened], now)
            # What nobody will ever see must not pass for the newest version.
            if outcome.ledger_entry and (not opened or len(dropped) < len(opened)):
                run(
                    "insert_unlogged",
                    instance_id=job.instance_id,
                    pseudonym=job.pseudonym,
                    entry=outcome.ledger_entry,
                )
        return True

    def unlogged(self, *, limit: int) -> list[Unlogged]:
        return [Unlogged(**dict(row)) for row in self._database.read("unlogged", limit=limit)]

    def unlogged_count(self) -> int:
        return int(self._database.read("count_unlogged")[0]["entries"])

    def logged(self, ids: Sequence[int]) -> None:
        with self._database.transaction() as run:
            run("delete_unlogged", ids=json.dumps(list(ids)))

    def delivered(self, worker: str, jobs: Sequence[Job], *, keep: bool = False) -> Files:
        now = self._database.clock()
        with self._database.transaction() as run:
            done = [job for job in jobs if run("finish", id=job.id, worker=worker, now=now)]
            for name in {job.destination for job in done}:
                run("answers", destination=name)
            return closed_files(run, [job.instance_id for job in done], now, keep=keep)

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
        now = self._database.clock()
        with self._database.transaction() as run:
            run(
                "retry",
                id=job.id,
                worker=worker,
                counted=int(counted),
                died=int(died),
                not_before=now + delay_s,
                reason=reason,
                hint=hint,
                failed=1,
                now=now,
            )

    def give_back(self, worker: str, jobs: Sequence[Job]) -> None:
        now = self._database.clock()
        with self._database.transaction() as run:
            for job in jobs:
                keep = {"reason": job.reason, "hint": job.hint, "not_before": job.not_before}
                run("retry", id=job.id, worker=worker, counted=0, died=0, failed=0, **keep, now=now)

    def park(self, worker: str, job: Job, *, reason: str, hint: str) -> None:
        with self._database.transaction() as run:
            run("park", id=job.id, worker=worker, reason=reason, hint=hint, now=self._database.clock())

    def expire(self) -> int:
        with self._database.transaction() as run:
            return len(run("expire", now=self._database.clock()))

    def release_all(self) -> int:
        with self._database.transaction() as run:
            return len(run("release_all", now=self._database.clock()))

    def paused(self, destination: str) -> bool:
        return bool(self._database.read("paused", destination=destination))

    def overtaken(self, destination: str, *, priority: Priority) -> bool:
        now = self._database.clock()
        return bool(self._database.read("overtaken", destination=destination, priority=priority, now=now))

    def unreachable(self, destination: str) -> None:
        with self._database.transaction() as run:
            run("unreachable", destination=destination, now=self._database.clock())

    def answered_by(self, destination: str, gateway: str | None) -> None:
        if [row["gateway"] for row in self._database.read("gateway_at", destination=destination)] == [
            gateway
        ]:
            return
        with self._database.transaction() as run:
            run("answered_by", destination=destination, gateway=gateway)

    def comes_back(self, *, pseudonym: str, route_key: str, calling: str, gateway: str) -> bool:
        values = {"pseudonym": pseudonym, "route_key": route_key, "calling": calling, "gateway": gateway}
        return bool(self._database.read("comes_back", **values))

    def fail_over(self, destination: str, *, other: str, after_s: float) -> int:
        now = self._database.clock()
        with self._database.transaction() as run:
            rows = run("fail_over", destination=destination, other=other, before=now - after_s, now=now)
            return len(rows) - len(dropped_superseded(run, [row["id"] for row in rows], now))

    def files(self) -> set[str]:
        return set(_names(self._database.read("files")))

    def kept(self) -> list[Kept]:
        return [
            Kept(instance_id=row["id"], files=_names([row]), finished_at=row["finished_at"])
            for row in self._database.read("kept")
        ]

    def purge(self, instance_ids: Sequence[int]) -> Files:
        with self._database.transaction() as run:
            return _names(run("purge", ids=json.dumps(list(instance_ids)), now=self._database.clock()))

    def forget(self, *, finished_before: float) -> int:
        with self._database.transaction() as run:
            return len(run("forget_finished", before=finished_before))

    def depth(self) -> list[Depth]:
        return depths(self._database)

    @contextmanager
    def snapshot(self, target: Path) -> Iterator[Snapshot]:
        copy = target / FILE_NAME
        with snapshot(self._database.path, copy) as locked_at:
            with closing(SqliteQueue(copy)) as queue:
                files = frozenset(queue.files())
            yield Snapshot(files=files, locked_at=locked_at)

    def check(self) -> None:
        self._database.touch()

    def close(self) -> None:
        self._database.close()
