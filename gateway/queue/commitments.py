"""Requests of storage commitment: what was asked, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeliveryStatus(StrEnum):
    """What became of a referenced instance."""

    UNKNOWN = "unknown"  # never received, or forgotten since
    OPEN = "open"  # not with all its destinations yet
    GIVEN_UP = "given up"  # a person dropped it
    ACCEPTED = "accepted"  # by every destination of its route, or by those that stand in


class CommitmentOutcome(StrEnum):
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
class CommitmentRequest:
    """As it was when it was read. requested_at: Unix seconds. attempts: to report."""

    id: int
    transaction_uid: str
    calling: str
    called: str
    requested_at: float
    attempts: int
