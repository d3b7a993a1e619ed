"""Requests of storage commitment, in the file of the queue: what was asked, how it stands, what was reported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.queue.commitments import CommitmentOutcome, CommitmentRequest, DeliveryStatus, Reference
from gateway.queue.sqlite.database import Database


class SqliteCommitments:
    """`gateway.queue.commitments.Commitments` in SQLite."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, clock)

    def put(
        self, *, transaction_uid: str, calling: str, called: str, references: Sequence[Reference]
    ) -> bool:
        items = [[item.sop_class, item.sop_instance, item.pseudonym] for item in references]
        with self._database.transaction() as run:
            if run("commitment_known", transaction_uid=transaction_uid, calling=calling):
                return False
            (row,) = run(
                "commitment_insert",
                transaction_uid=transaction_uid,
                calling=calling,
                called=called,
                now=self._database.clock(),
            )
            run("commitment_add_items", id=row["id"], items=json.dumps(items))
        return True

    def due(self, *, limit: int = 100) -> list[CommitmentRequest]:
        rows = self._database.read("commitment_due", now=self._database.clock(), limit=limit)
        return [CommitmentRequest(**dict(row)) for row in rows]

    def delivery_statuses(self, request: CommitmentRequest) -> list[tuple[str, str, DeliveryStatus]]:
        rows = self._database.read("commitment_standings", id=request.id)
        return [(row["sop_class"], row["sop_instance"], DeliveryStatus(row["standing"])) for row in rows]

    def delivered_to(self, request: CommitmentRequest) -> dict[str, list[tuple[str, str]]]:
        delivered: dict[str, list[tuple[str, str]]] = {}
        for row in self._database.read("commitment_held", id=request.id):
            delivered.setdefault(row["destination"], []).append((row["sop_class"], row["sop_instance"]))
        return delivered

    def postpone(self, request: CommitmentRequest, *, delay_s: float, attempted: bool) -> None:
        until = self._database.clock() + delay_s
        with self._database.transaction() as run:
            run("commitment_later", id=request.id, not_before=until, attempted=int(attempted))

    def end(self, request: CommitmentRequest, outcome: CommitmentOutcome) -> None:
        with self._database.transaction() as run:
            run("commitment_end", id=request.id, now=self._database.clock(), ending=outcome)

    def open_requests(self) -> int:
        return int(self._database.read("commitment_count")[0]["open"])

    def forget(self, *, ended_before: float) -> None:
        with self._database.transaction() as run:
            run("commitment_forget", before=ended_before)

    def now(self) -> float:
        return self._database.clock()

    def close(self) -> None:
        self._database.close()
