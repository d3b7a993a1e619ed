"""What the queue holds and promises: states as data, the two protocols every backend keeps.

put ─▶ prepare job READY, one deliver job for each destination WAITING
prepare: READY ─claim▶ LEASED ─prepared▶ DONE, which makes its deliver jobs READY
deliver: READY ─claim▶ LEASED ─delivered▶ DONE
LEASED ─retry, expiry of the lease▶ READY      LEASED ─park▶ PARKED (waits for a person)
people: hold, release, retry, resend, pass on, drop
put of a changed instance with policy hold ─▶ HELD instead of READY
PARKED because the file is gone or damaged ─the same bytes arrive again▶ as put, but for what is DONE already
deliver: READY ─supersede▶ DROPPED, when it became ready after a newer version of its instance was delivered
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal


class State(StrEnum):
    WAITING = "waiting"  # for the prepare job of its instance
    READY = "ready"  # may be claimed from `not_before` on
    LEASED = "leased"  # a worker has it until the lease ends
    DONE = "done"
    PARKED = "parked"  # refused for good or attempts used up: waits for a person
    HELD = "held"  # a person holds it back
    DROPPED = "dropped"  # a person gave it up, or a newer version was delivered ("superseded")


class Step(StrEnum):
    PREPARE = "prepare"  # seal, verify or restore
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
    """What an arrival was; true for what was taken."""

    KNOWN = 0  # these bytes were put before
    NEW = 1
    CHANGED = 2  # other bytes were put before under the same UID


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An instance that is durable in the spool and now enters the queue.

    digest: hex BLAKE3 of what was received. study: pseudonym of the Study Instance UID, if it was found.
    incoming: its name in the spool. destinations: at least one name. changed: what to do with it if other bytes
    with the same pseudonym were put before for one of these destinations and are still remembered.
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
    """One step for one instance (and destination), as it was when it was read.

    instead_of: the destination that did not take the object, for which this one stands in.
    outcome: why the instance has its `level`. reason, hint: of the last failure. Times are Unix seconds.
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
    """How preparing ended. outgoing: spool name of the new file; None: the received one is to be sent."""

    outgoing: str | None
    level: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many jobs are in one state, and since when (Unix seconds) the oldest is."""

    step: Step
    destination: str
    state: State
    jobs: int
    oldest: float


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What is known of a destination beside its jobs. Times are Unix seconds.

    paused_at: a person paused it. down_since: nobody has answered there since then. None: not so.
    """

    name: str
    paused_at: float | None
    down_since: float | None


Files = list[str]  # spool names that no job needs any more


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An instance that was delivered everywhere, and whose files stay for a while. finished_at: Unix seconds."""

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
