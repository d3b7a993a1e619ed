"""Requests of storage commitment, in the file of the queue: what was asked, how it stands, what was reported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.queue.commitments import CommitmentOutcome, CommitmentRequest, DeliveryStatus, Reference
from gateway.queue.sqlite.database import Database


class Commitments:
    """Methods are durable when they return and thread-safe; each raises ResourceError."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, clock)

    def put(
        self, *, transaction_uid: str, calling: str, called: str, references: Sequence[Reference]
    ) -> bool:
        """False, and nothing changed, when this requester used the Transaction UID before."""
        items = [[one.sop_class, one.sop_instance, one.pseudonym] for one in references]
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
        """Open requests whose time has come, those that waited longest first."""
        rows = self._database.read("commitment_due", now=self._database.clock(), limit=limit)
        return [CommitmentRequest(**dict(row)) for row in rows]

    def standings(self, request: CommitmentRequest) -> list[tuple[str, str, DeliveryStatus]]:
        """SOP class, SOP instance and standing of each reference, in the order of the request."""
        rows = self._database.read("commitment_standings", id=request.id)
        return [(row["sop_class"], row["sop_instance"], DeliveryStatus(row["standing"])) for row in rows]

    def held(self, request: CommitmentRequest) -> dict[str, list[tuple[str, str]]]:
        """SOP class and SOP instance of the references that each destination got, by its name."""
        found: dict[str, list[tuple[str, str]]] = {}
        for row in self._database.read("commitment_held", id=request.id):
            found.setdefault(row["destination"], []).append((row["sop_class"], row["sop_instance"]))
        return found

    def later(self, request: CommitmentRequest, *, delay_s: float, attempted: bool) -> None:
        """Due again after `delay_s`. attempted: reporting was tried and failed."""
        until = self._database.clock() + delay_s
        with self._database.transaction() as run:
            run("commitment_later", id=request.id, not_before=until, attempted=int(attempted))

    def end(self, request: CommitmentRequest, ending: CommitmentOutcome) -> None:
        with self._database.transaction() as run:
            run("commitment_end", id=request.id, now=self._database.clock(), ending=ending)

    def open_requests(self) -> int:
        return int(self._database.read("commitment_count")[0]["open"])

    def forget(self, *, ended_before: float) -> None:
        """Remove requests that ended before (Unix seconds)."""
        with self._database.transaction() as run:
            run("commitment_forget", before=ended_before)

    def now(self) -> float:
        return self._database.clock()

    def close(self) -> None:
        self._database.close()
