"""Requests of storage commitment: what was asked, how it stands, and what a store of them promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DeliveryStatus(StrEnum):
    """What became of a referenced instance.

    UNKNOWN: it was never received, or it was forgotten since.
    OPEN: some of its destinations do not have it yet.
    GIVEN_UP: a person dropped it.
    ACCEPTED: every destination of its route has accepted it, or a destination that stands in for one.
    """

    UNKNOWN = "unknown"
    OPEN = "open"
    GIVEN_UP = "given up"
    ACCEPTED = "accepted"


class CommitmentOutcome(StrEnum):
    """How a request ended. UNREPORTED: the requester could not be reached for too long."""

    COMMITTED = "committed"
    FAILED = "failed"
    UNREPORTED = "unreported"


@dataclass(frozen=True)
class Reference:
    """One instance that a request names.

    pseudonym: of the SOP Instance UID; the queue knows the instance by it.
    """

    sop_class: str
    sop_instance: str
    pseudonym: str


@dataclass(frozen=True)
class CommitmentRequest:
    """An open request, as it was when it was read.

    requested_at: Unix seconds.
    attempts: how often a report was tried and failed.
    """

    id: int
    transaction_uid: str
    calling: str
    called: str
    requested_at: float
    attempts: int


class Commitments(Protocol):
    """The requests that are open, and for some time those that have ended.

    Methods are durable when they return and thread-safe; each raises ResourceError.
    """

    def put(
        self, *, transaction_uid: str, calling: str, called: str, references: Sequence[Reference]
    ) -> bool:
        """Write a request down. False, and nothing changed, when this requester used the Transaction UID before."""

    def due(self, *, limit: int = 100) -> list[CommitmentRequest]:
        """Open requests whose time has come, first those that have waited longest."""

    def delivery_statuses(self, request: CommitmentRequest) -> list[tuple[str, str, DeliveryStatus]]:
        """SOP class, SOP instance and status of each reference, in the order of the request."""

    def delivered_to(self, request: CommitmentRequest) -> dict[str, list[tuple[str, str]]]:
        """Name of each destination -> SOP class and SOP instance of the references that it got."""

    def postpone(self, request: CommitmentRequest, *, delay_s: float, attempted: bool) -> None:
        """Make the request due again after `delay_s`. attempted: a report was tried and failed."""

    def end(self, request: CommitmentRequest, outcome: CommitmentOutcome) -> None:
        """The request is not due any more."""

    def open_requests(self) -> int:
        """How many have not ended."""

    def forget(self, *, ended_before: float) -> None:
        """Remove requests that ended before `ended_before`, Unix seconds."""

    def now(self) -> float:
        """The time by the clock of the store, Unix seconds."""

    def close(self) -> None:
        """Close the connection to the store."""
