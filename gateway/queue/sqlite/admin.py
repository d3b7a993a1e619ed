"""What people do with the SQLite queue; usable while the service runs."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.queue.model import (
    Depth,
    Job,
    Notes,
    State,
)
from gateway.queue.sqlite.database import Database
from gateway.queue.sqlite.queue import (
    as_job,
    closed_files,
    depths,
    dropped_superseded,
)


class SqliteQueueAdmin:
    """See gateway.queue.contract.QueueAdmin."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, clock)

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
    ) -> builtins.list[Job]:
        rows = self._database.read(
            "list",
            state=state,
            destination=destination,
            pseudonym=pseudonym,
            study=study,
            since=since,
            until=until,
            limit=limit,
        )
        return self._jobs([row["id"] for row in rows])

    def show(self, job_id: int) -> Job | None:
        return next(iter(self._jobs([job_id])), None)

    def retry(self, ids: Sequence[int]) -> Sequence[int]:
        return self._change("people_retry", ids)

    def resend(self, ids: Sequence[int]) -> Sequence[int]:
        now = self._database.clock()
        with self._database.transaction() as run:
            rows = run("people_resend", ids=json.dumps(builtins.list(ids)), now=now)
            run("reopen_instances", ids=json.dumps([row["instance_id"] for row in rows]))
        return sorted(row["id"] for row in rows)

    def hold(self, ids: Sequence[int]) -> Sequence[int]:
        return self._change("people_hold", ids)

    def release(self, ids: Sequence[int]) -> Sequence[int]:
        return self._change("people_release", ids)

    def drop(self, ids: Sequence[int]) -> Sequence[int]:
        now = self._database.clock()
        with self._database.transaction() as run:
            dropped = [row["id"] for row in run("people_drop", ids=json.dumps(builtins.list(ids)), now=now)]
            instances = [row["instance_id"] for row in run("instances_of", ids=json.dumps(dropped))]
            run("drop_waiting", ids=json.dumps(instances), now=now)
            # The objects stay for the service, which alone writes to the spool.
            closed_files(run, instances, now)
        return sorted(dropped)

    def pass_on(self, ids: Sequence[int]) -> Sequence[int]:
        now = self._database.clock()
        with self._database.transaction() as run:
            passed = run("people_pass_on", ids=json.dumps(builtins.list(ids)), now=now)
            for instance_id in (row["instance_id"] for row in passed):
                run("set_outcome", instance_id=instance_id, outgoing=None, level="pass", reason="released")
                opened = run("open_deliveries", instance_id=instance_id, now=now)
                dropped_superseded(run, [row["id"] for row in opened], now)
            return sorted(row["id"] for row in passed)

    def pause(self, destination: str) -> bool:
        with self._database.transaction() as run:
            return bool(run("people_pause", destination=destination, now=self._database.clock()))

    def resume(self, destination: str) -> bool:
        with self._database.transaction() as run:
            return bool(run("people_resume", destination=destination))

    def depth(self) -> builtins.list[Depth]:
        return depths(self._database)

    def notes(self) -> builtins.list[Notes]:
        return [Notes(**dict(row)) for row in self._database.read("notes")]

    def close(self) -> None:
        self._database.close()

    def _jobs(self, ids: Sequence[int]) -> builtins.list[Job]:
        return [as_job(row) for row in self._database.read("jobs_by_id", ids=json.dumps(builtins.list(ids)))]

    def _change(self, statement: str, ids: Sequence[int]) -> Sequence[int]:
        now = self._database.clock()
        with self._database.transaction() as run:
            changed = {row["id"] for row in run(statement, ids=json.dumps(builtins.list(ids)), now=now)}
            return sorted(changed.difference(dropped_superseded(run, builtins.list(changed), now)))
