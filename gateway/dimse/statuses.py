"""DIMSE statuses in one table: what a peer's answer to C-STORE means for us (PS3.4 B.2.3, PS3.7 annex C)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SUCCESS = 0x0000
# Our answer when an object, or a request of storage commitment, could not be made durable.
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
# Our answer to another gateway that sends an object round in a circle; no status of PS3.4 says that.
LOOP = 0xA8A0
CANNOT_UNDERSTAND = 0xC000
# Our answer to other bytes under a known UID, where the configuration refuses them.
DUPLICATE_INSTANCE = 0x0111
# Our answer after a defect of our own; also a Failure Reason of storage commitment.
PROCESSING_FAILURE = 0x0110
SOP_CLASS_NOT_SUPPORTED = 0x0122
# Our answer when no route takes the object, or its sender may not store it.
NOT_AUTHORISED = 0x0124
# Of N-ACTION; NO_SUCH_INSTANCE is also a Failure Reason of storage commitment.
NO_SUCH_INSTANCE = 0x0112
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123

# Of C-FIND, C-GET and C-MOVE, PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4.
PENDING, PENDING_UNSUPPORTED_KEYS = 0xFF00, 0xFF01
CANCELLED = 0xFE00
NO_MATCHES_COUNTED = 0xA701
NO_SUB_OPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_MISMATCH = 0xA900
SUB_OPERATIONS_WARNING = 0xB000


def is_pending(status: int) -> bool:
    """Whether further responses to the same request follow."""
    return status in (PENDING, PENDING_UNSUPPORTED_KEYS)


class Meaning(StrEnum):
    """What we do after a peer's answer: the object is delivered, is sent again later, or was refused for good."""

    DELIVERED = "delivered"
    TRY_AGAIN = "try-again"
    REFUSED = "refused"


@dataclass(frozen=True)
class Row:
    """What a range of statuses means.

    first, last: the range, both included.
    text: the words of the standard, for messages.
    hint: what an administrator can do, empty where nothing is wrong.
    """

    first: int
    last: int
    meaning: Meaning
    text: str
    hint: str = ""


TABLE = (
    Row(0x0000, 0x0000, Meaning.DELIVERED, "success"),
    Row(0xB000, 0xB000, Meaning.DELIVERED, "warning: coercion of data elements"),
    Row(0xB006, 0xB006, Meaning.DELIVERED, "warning: elements discarded"),
    Row(0xB007, 0xB007, Meaning.DELIVERED, "warning: data set does not match SOP class"),
    Row(0x0001, 0x0001, Meaning.DELIVERED, "warning: requested optional attributes not supported"),
    Row(0x0107, 0x0107, Meaning.DELIVERED, "warning: attribute list error"),
    Row(0x0116, 0x0116, Meaning.DELIVERED, "warning: attribute value out of range"),
    Row(0xA700, 0xA7FF, Meaning.TRY_AGAIN, "out of resources", "Free space on the destination."),
    Row(0x0110, 0x0110, Meaning.TRY_AGAIN, "processing failure", "Look at the destination's log."),
    Row(0x0213, 0x0213, Meaning.TRY_AGAIN, "resource limitation", "The destination is busy."),
    Row(
        LOOP,
        LOOP,
        Meaning.REFUSED,
        "loop: the object has been on that gateway before",
        "Look where the routes of both lead.",
    ),
    Row(0xA900, 0xA9FF, Meaning.REFUSED, "data set does not match SOP class", "Compare the SOP class UIDs."),
    Row(0xC000, 0xCFFF, Meaning.REFUSED, "cannot understand", "The destination can't parse the object."),
    Row(0x0111, 0x0111, Meaning.REFUSED, "duplicate SOP instance", "It already stores another version."),
    Row(0x0117, 0x0117, Meaning.REFUSED, "invalid object instance", "Look at the SOP Instance UID."),
    Row(0x0122, 0x0122, Meaning.REFUSED, "SOP class not supported", "Enable the SOP class there."),
    Row(0x0124, 0x0124, Meaning.REFUSED, "not authorised", "Allow our AE title to store there."),
    Row(0x0210, 0x0212, Meaning.REFUSED, "protocol error", "Report it with the destination's log."),
)
UNLISTED = Row(0x0000, 0xFFFF, Meaning.REFUSED, "failure", "Look at the destination's log.")


def classify(status: int) -> Row:
    """The row of a C-STORE status, 0 .. 0xFFFF. A status that is in no row is a refusal."""
    return next((row for row in TABLE if row.first <= status <= row.last), UNLISTED)
