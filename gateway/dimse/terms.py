"""What a peer may send us in one message (PS3.7): which requests, on which contexts, and how much of each part.

Without these limits a peer that may do nothing but C-ECHO could fill the memory of the whole service.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pynetdicom.events import InterventionEvent

from gateway.dimse.pynetdicom_private import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_FIND_RQ,
    C_FIND_RSP,
    C_GET_RQ,
    C_GET_RSP,
    C_MOVE_RQ,
    C_MOVE_RSP,
    C_STORE_RQ,
    C_STORE_RSP,
    N_ACTION_RQ,
    N_EVENT_REPORT_RQ,
    DIMSEMessage,
    request_of,
)
from gateway.errors import ProtocolBroken

# Of a command set, with a byte for each fragment. The longest of a request that we answer takes less than 1 KiB.
COMMAND_BYTES_MAX = 64 << 10
# Of all data sets together that are in memory while they arrive. What is beyond it goes to the spool at once.
MEMORY_BYTES_MAX = 128 << 20
# The most bytes of the data set that comes with a request; None: the spool says how much there is room for.
DATA_SET_BYTES_MAX: dict[type[DIMSEMessage], int | None] = {
    C_ECHO_RQ: 0,
    C_STORE_RQ: None,
    C_FIND_RQ: 1 << 20,
    C_GET_RQ: 1 << 20,
    C_MOVE_RQ: 1 << 20,
    # Storage commitment: 15,000 references with the longest UIDs.
    N_ACTION_RQ: 2 << 20,
    N_EVENT_REPORT_RQ: 2 << 20,
}
# What follows a request, and has no data set.
FOLLOWING: dict[type[DIMSEMessage], tuple[type[DIMSEMessage], ...]] = {
    C_FIND_RQ: (C_CANCEL_RQ,),
    C_MOVE_RQ: (C_CANCEL_RQ,),
    C_GET_RQ: (C_CANCEL_RQ, C_STORE_RSP),
}


class MessageTerms:
    """Which messages the services take."""

    def __init__(self, services: Iterable[tuple[frozenset[str], Iterable[InterventionEvent]]]) -> None:
        """services: SOP classes and events of each."""
        # Message -> the SOP classes on whose contexts it may come; None: on any.
        self._taken: dict[type[DIMSEMessage], frozenset[str] | None] = {}
        for sop_classes, events in services:
            for request in map(request_of, events):
                # Storage knows only some of its SOP classes by name.
                self._taken[request] = None if request is C_STORE_RQ else sop_classes
                self._taken.update(dict.fromkeys(FOLLOWING.get(request, ())))

    def data_set_bytes_max(self, message: DIMSEMessage, abstract_syntax: str | None) -> int | None:
        """The most bytes that the data set of a message may have; None: no limit but that of the spool.

        message: its command set was read.
        abstract_syntax: of its presentation context; None for one that was not accepted.
        Raises ProtocolBroken for a message that no service takes, or not on this context.
        """
        kind = type(message)
        if kind not in self._taken:
            raise ProtocolBroken("the peer sent a message that is no request of a service that we have")
        sop_classes = self._taken[kind]
        if abstract_syntax is None or (sop_classes is not None and abstract_syntax not in sop_classes):
            raise ProtocolBroken("the peer sent a request on the presentation context of another service")
        return DATA_SET_BYTES_MAX.get(kind, 0)


class ArchiveTerms(MessageTerms):
    """What an archive may send us on an association that we opened: its answers, and the objects of a C-GET."""

    # 50,000 failed SOP Instance UIDs of the greatest length.
    RESPONSE_BYTES_MAX = 4 << 20

    def __init__(self) -> None:
        super().__init__(())

    def data_set_bytes_max(self, message: DIMSEMessage, abstract_syntax: str | None) -> int | None:
        """See MessageTerms.data_set_bytes_max."""
        if abstract_syntax is None or not isinstance(
            message, (C_STORE_RQ, C_FIND_RSP, C_GET_RSP, C_MOVE_RSP)
        ):
            raise ProtocolBroken("the archive sent a message that answers nothing")
        return None if isinstance(message, C_STORE_RQ) else self.RESPONSE_BYTES_MAX


class MemoryBudget:
    """Bytes of memory that many share. For several threads."""

    def __init__(self, size: int) -> None:
        """size: bytes in all."""
        self._left = size
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether there were `count` bytes left; they are taken then."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        with self._lock:
            self._left += count
