"""What the queue holds: jobs and their states, as data.

put ─▶ prepare job READY, one deliver job for each destination WAITING
prepare: READY ─claim▶ LEASED ─prepared▶ DONE, which makes its deliver jobs READY
deliver: READY ─claim▶ LEASED ─delivered▶ DONE
LEASED ─retry, expiry of the lease▶ READY      LEASED ─park▶ PARKED (waits for a person)
people: hold, release, retry, resend, pass on, drop
put of a changed instance with policy hold ─▶ HELD instead of READY
PARKED because the file is gone or damaged ─the same bytes arrive again▶ as put, but for what is DONE already
deliver: READY ─supersede▶ DROPPED, when it became ready after a newer version of its instance was delivered

The protocols that every backend keeps are in `gateway.queue.contract`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal


class State(StrEnum):
    # It waits for the prepare job of its instance.
    WAITING = "waiting"
    # A worker may claim it from `not_before` on.
    READY = "ready"
    # A worker has it until the lease ends.
    LEASED = "leased"
    DONE = "done"
    # It was refused for good, or its attempts are used up: it waits for a person.
    PARKED = "parked"
    # A person holds it back.
    HELD = "held"
    # A person gave it up, or a newer version was delivered (reason "superseded").
    DROPPED = "dropped"


class Step(StrEnum):
    # Seal, verify or restore.
    PREPARE = "prepare"
    DELIVER = "deliver"


class Priority(IntEnum):
    """The smaller goes first."""

    URGENT = 0
    NORMAL = 1
    LOW = 2


# (state, what happens) -> next state. The statements in queries.sql do exactly this; a test holds them to it.
NEXT: dict[tuple[State, str], State] = {
    (State.WAITING, "prepared"): State.READY,
    (State.READY, "claim"): State.LEASED,
    (State.LEASED, "finish"): State.DONE,
    (State.LEASED, "retry"): State.READY,
    (State.LEASED, "expire"): State.READY,
    (State.LEASED, "park"): State.PARKED,
    (State.PARKED, "retry"): State.READY,
    (State.PARKED, "pass on"): State.DONE,
    (State.DONE, "resend"): State.READY,
    (State.READY, "hold"): State.HELD,
    (State.WAITING, "hold"): State.HELD,
    (State.PARKED, "hold"): State.HELD,
    (State.HELD, "release"): State.READY,
    (State.READY, "drop"): State.DROPPED,
    (State.WAITING, "drop"): State.DROPPED,
    (State.PARKED, "drop"): State.DROPPED,
    (State.HELD, "drop"): State.DROPPED,
    (State.READY, "supersede"): State.DROPPED,
}


class Put(IntEnum):
    """What an arrival was to the queue. It is true when the arrival was taken."""

    # These bytes were put before.
    KNOWN = 0
    NEW = 1
    # Other bytes were put before under the same UID.
    CHANGED = 2


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An instance that is durable in the spool and now enters the queue.

    pseudonym: of its SOP Instance UID.
    digest: hexadecimal BLAKE3 of transfer syntax and data set.
    route_key: names what its route does with it (`gateway.config.Route.key`).
    called, calling: AE titles, the receiver's and the sender's.
    action, on_failure: of its route.
    destinations: their names, at least one.
    bytes: size of the data set.
    incoming: name of the object in the spool.
    study: pseudonym of the Study Instance UID, or None when the object does not show it.
    changed: what happens when other bytes with the same pseudonym were put before for one of these destinations and
        are still remembered.
    """

    pseudonym: str
    digest: str
    route_key: str
    called: str
    calling: str
    action: str
    on_failure: str
    destinations: tuple[str, ...]
    bytes: int
    incoming: str
    priority: Priority = Priority.NORMAL
    study: str | None = None
    changed: Literal["update", "hold", "refuse"] = "update"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One step for one instance (and destination), as it was when it was read from the queue.

    pseudonym, study: of the SOP Instance UID and of the Study Instance UID.
    destination: its name; empty for a prepare job.
    attempts: failed ones that count.
    deaths: how many workers died over it.
    not_before: when it may be claimed, Unix seconds.
    reason, hint: of the last failure.
    instead_of: the destination that did not take the object, and for which this one stands in.
    route_key, called, calling, action, on_failure, bytes: as in `Arrival`.
    incoming: name of the received object in the spool.
    outgoing: name of the prepared object in the spool; None: the received one is to be sent.
    level: how far the instance was sealed; None: it is not prepared yet.
    outcome: why it has this level.
    received_at: Unix seconds.
    """

    id: int
    instance_id: int
    pseudonym: str
    study: str | None
    step: Step
    destination: str
    priority: Priority
    state: State
    attempts: int
    deaths: int
    not_before: float
    reason: str | None
    hint: str | None
    instead_of: str | None
    route_key: str
    called: str
    calling: str
    action: str
    on_failure: str
    bytes: int
    incoming: str
    outgoing: str | None
    level: str | None
    outcome: str | None
    received_at: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How a prepare job ended.

    outgoing: name of the new object in the spool; None: the received one is to be sent.
    level: how far the instance is sealed, a code word.
    reason: why, a code word.
    ledger_entry: what the ledger is to hold about it; empty when there is nothing to hold.
    """

    outgoing: str | None
    level: str
    reason: str
    ledger_entry: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Unlogged:
    """An entry that is to be added to the ledger.

    id: grows with each of them.
    entry: as the ledger will hold it.
    """

    id: int
    entry: bytes


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many jobs of a step and a destination are in one state.

    oldest: since when the oldest of them is, Unix seconds.
    """

    step: Step
    destination: str
    state: State
    jobs: int
    oldest: float


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What is known of a destination beside its jobs.

    paused_at: when a person paused it, Unix seconds; None: it is not paused.
    down_since: since when nobody has answered there, Unix seconds; None: it answers.
    """

    name: str
    paused_at: float | None
    down_since: float | None


# Names of objects in the spool. To the queue they are only words: it does not know where the objects lie.
Files = list[str]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An instance that was delivered everywhere, and whose objects stay for a while.

    files: names of its objects.
    finished_at: when the last delivery was done, Unix seconds.
    """

    instance_id: int
    files: Files
    finished_at: float


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A copy of the queue.

    files: names of the objects that the copy needs.
    locked_at: since when nobody can write to the queue that was copied, `time.monotonic()`.
    """

    files: frozenset[str]
    locked_at: float
