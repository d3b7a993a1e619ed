"""Requests of storage commitment, in the file of the queue: what was asked, how it stands, what was reported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.queue.database import Database


class Standing(StrEnum):
    """What became of a referenced instance."""

    UNKNOWN = "unknown"  # never received, or forgotten since
    OPEN = "open"  # not with all its destinations yet
    GIVEN_UP = "given up"  # a person dropped it
    ACCEPTED = "accepted"  # by every destination of its route, or by those that stand in


class Ending(StrEnum):
    COMMITTED = "committed"
    FAILED = "failed"
    UNREPORTED = "unreported"  # the requester could not be reached for too long


@dataclass(frozen=True)
class Reference:
    """pseudonym: of the SOP Instance UID, by which the queue knows it."""

    sop_class: str
    sop_instance: str
    pseudonym: str


@dataclass(frozen=True)
class Request:
    """As it was when it was read. requested_at: Unix seconds. attempts: to report."""

    id: int
    transaction_uid: str
    calling: str
    called: str
    requested_at: float
    attempts: int


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

    def due(self, *, limit: int = 100) -> list[Request]:
        """Open requests whose time has come, those that waited longest first."""
        rows = self._database.read("commitment_due", now=self._database.clock(), limit=limit)
        return [Request(**dict(row)) for row in rows]

    def standings(self, request: Request) -> list[tuple[str, str, Standing]]:
        """SOP class, SOP instance and standing of each reference, in the order of the request."""
        rows = self._database.read("commitment_standings", id=request.id)
        return [(row["sop_class"], row["sop_instance"], Standing(row["standing"])) for row in rows]

    def held(self, request: Request) -> dict[str, list[tuple[str, str]]]:
        """SOP class and SOP instance of the references that each destination got, by its name."""
        found: dict[str, list[tuple[str, str]]] = {}
        for row in self._database.read("commitment_held", id=request.id):
            found.setdefault(row["destination"], []).append((row["sop_class"], row["sop_instance"]))
        return found

    def later(self, request: Request, *, delay_s: float, attempted: bool) -> None:
        """Due again after `delay_s`. attempted: reporting was tried and failed."""
        until = self._database.clock() + delay_s
        with self._database.transaction() as run:
            run("commitment_later", id=request.id, not_before=until, attempted=int(attempted))

    def end(self, request: Request, ending: Ending) -> None:
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
