"""C-STORE as SCU (PS3.4 annex B): many objects on one association, their bytes sent as they are stored.

pynetdicom's own `send_c_store` parses and re-encodes data sets, or it queues a whole file at once while the time-out
of the response is already running. Here fragments are handed over as fast as the socket takes them, and the time-out
starts after the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from gateway.config import Limits
from gateway.dicom.file_meta import Wrapper, unwrap
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dimse.bandwidth import RateLimit
from gateway.dimse.pynetdicom_private import (
    fragments,
    fragments_in_pieces,
    has_broken_off,
    has_data_set,
    most_pdu_bytes,
    next_response,
    queued_fragments,
    send_fragment,
    send_from_file,
)
from gateway.dimse.requestor import UNCOMPRESSED, ContextOffer, NothingAccepted
from gateway.dimse.statuses import Meaning, classify
from gateway.errors import PeerFailed, RefusedByPeer
from gateway.queue import Priority
from gateway.spool.stored import StoredFile

# PS3.8 9.3.2.2: ids are odd numbers of one byte.
CONTEXTS_MAX = 128
FRAGMENT_BYTES_MIN = 512
# A peer may write what it has received before it answers; we assume that it is at least this fast, bytes/s.
STORED_BYTES_S = 10_000_000
SLOW_HINT = "Look at the line and the load of the destination; limits.send_bytes_s_min says what is too slow."
# Handed to the sending thread and not yet in the socket.
FRAGMENTS_IN_FLIGHT = 8
ROOM_POLL_S = 0.0005
MESSAGE_IDS = 65535
# The largest file that is converted: this happens in memory.
CONVERTED_BYTES_MAX = 256 << 20
# Of a C-STORE request, PS3.7 9.3.1.1: medium 0, high 1, low 2.
PRIORITIES = {Priority.URGENT: 1, Priority.NORMAL: 0, Priority.LOW: 2}


# Transfer syntax -> the file in it.
Conversion = Callable[[str], AbstractContextManager[ByteSource]]


@dataclass(frozen=True)
class Sent:
    """What became of an object that the peer took.

    status: the DIMSE status, success or warning.
    syntax: the transfer syntax in which it was sent.
    transcoded: whether it was converted into that syntax.
    """

    status: int
    syntax: str
    transcoded: bool


@dataclass(frozen=True)
class Originator:
    """Whose C-MOVE an object is sent for (PS3.7 9.1.1.1).

    ae_title: of the one that asked.
    message_id: of its request.
    """

    ae_title: str
    message_id: int


class Receiver(Protocol):
    """The peer that gets the objects."""

    @property
    def name(self) -> str: ...

    def slowest_bytes_s(self, limits: Limits) -> float:
        """The rate below which it is given up."""


class Carrier(Protocol):
    """An association, or what opens one: `Requestor`, or the one that a viewer opened for a C-GET."""

    @property
    def destination(self) -> Receiver: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def is_open(self) -> bool: ...

    @property
    def association(self) -> Association: ...

    @property
    def accepted(self) -> Mapping[ContextOffer, int]: ...

    def open(self, contexts: Iterable[ContextOffer]) -> None:
        """Raises PeerUnreachable."""

    def abort(self) -> None: ...


class StoreScu:
    """Sends objects over the association of a carrier, which is opened when it is needed and then stays open.

    Not for several threads at once.
    """

    def __init__(
        self,
        requestor: Carrier,
        *,
        rate_limit: RateLimit | None = None,
        originator: Originator | None = None,
    ) -> None:
        """requestor: is used by nobody else meanwhile; its owner closes it.

        rate_limit: limits what is sent, together with others that share it; None for no limit.
        originator: who asked for the objects by C-MOVE; None where nobody did.
        """
        self._originator = originator
        self._requestor = requestor
        self._rate_limit = rate_limit
        self._offered: list[ContextOffer] = []
        self._message_id = 0

    def send(self, file: ByteSource, *, converted: Conversion, priority: Priority = Priority.NORMAL) -> Sent:
        """Send the data set of one file, in its own syntax, or losslessly converted where the peer refuses that.

        file: a DICOM file (PS3.10) with preamble and meta information.
        converted: gives the file in another transfer syntax. What it does with a hostile one is not for this process.
        Raises PeerUnreachable when nothing was sent.
        Raises PeerFailed when it may succeed later.
        Raises RefusedByPeer when the peer refuses the object.
        Raises what `converted` raises.
        """
        head = unwrap(file)
        self.offer([(head.sop_class, head.syntax)])
        accepted, name = self._requestor.accepted, self._requestor.destination.name
        if (head.sop_class, head.syntax) in accepted:
            return self._store(file, priority, transcoded=False)
        if len(file) > CONVERTED_BYTES_MAX:
            raise RefusedByPeer(
                f"{name} does not accept {UID(head.syntax).name}; the object is too large to convert",
                hint="Enable the transfer syntax there, then `sealgate queue retry`.",
            )
        for syntax in UNCOMPRESSED:
            if (head.sop_class, syntax) in accepted:
                with converted(syntax) as other:
                    return self._store(other, priority, transcoded=True)
        raise RefusedByPeer(
            f"{name} accepts SOP class {UID(head.sop_class).name} neither in "
            f"{UID(head.syntax).name} nor uncompressed",
            hint="Enable the SOP class or the transfer syntax there, then `sealgate queue retry`.",
        )

    def offer(self, contexts: Iterable[ContextOffer]) -> None:
        """Open a new association unless one is open on which all these contexts were offered.

        Contexts that were offered earlier are offered again, as far as there is room.

        Raises PeerUnreachable when there is no association.
        """
        wanted = list(dict.fromkeys(contexts))
        if self._requestor.is_open and all(context in self._offered for context in wanted):
            return
        merged = list(dict.fromkeys([*wanted, *self._offered]))
        while len(_contexts(merged)) > CONTEXTS_MAX:
            merged.pop()
        self._offered = merged
        try:
            self._requestor.open(_contexts(merged))
        except NothingAccepted:
            # This object will be refused as not accepted; the next one gets an association of its own.
            return

    def _store(self, file: ByteSource, priority: Priority, *, transcoded: bool) -> Sent:
        head = unwrap(file)
        request = self._request(file, head, priority)
        context_id = self._requestor.accepted[(head.sop_class, head.syntax)]
        data_set = ByteRange(file, head.offset, len(file))
        status = self._exchange(request, context_id, data_set)
        row = classify(status)
        if row.meaning is Meaning.DELIVERED:
            return Sent(status, head.syntax, transcoded)
        message = f"{self._requestor.destination.name} answered {status:04X}: {row.text}"
        if row.meaning is Meaning.TRY_AGAIN:
            raise PeerFailed(message, hint=row.hint)
        raise RefusedByPeer(message, hint=row.hint)

    def _request(self, file: ByteSource, head: Wrapper, priority: Priority) -> C_STORE:
        self._message_id = self._message_id % MESSAGE_IDS + 1
        request = C_STORE()
        request.MessageID = self._message_id
        request.Priority = PRIORITIES[priority]
        request.AffectedSOPClassUID = UID(head.sop_class)
        request.AffectedSOPInstanceUID = UID(head.sop_instance)
        if self._originator is not None:
            request.MoveOriginatorApplicationEntityTitle = self._originator.ae_title
            request.MoveOriginatorMessageID = self._originator.message_id
        if isinstance(file, StoredFile):
            send_from_file(request, file.path, head.offset)
        elif isinstance(file, bytes):
            request.DataSet = BytesIO(file[head.offset :])
        return request

    def _exchange(self, request: C_STORE, context_id: int, data_set: ByteSource) -> int:
        """Send the message in step with the socket, wait for the response, and return its status.

        data_set: is sent where the request has none of its own, piece by piece.
        Raises PeerFailed.
        """
        size = len(data_set)
        association, limits = self._requestor.association, self._requestor.limits
        slowest_bytes_s = self._requestor.destination.slowest_bytes_s(limits)
        deadline = time.monotonic() + limits.network_timeout_s + size / slowest_bytes_s
        association.dimse_timeout = limits.dimse_timeout_s + size / STORED_BYTES_S
        for fragment in self._fragments(request, context_id, data_set):
            if self._rate_limit is not None:
                self._rate_limit.wait_for(
                    sum(len(value) for _, value in fragment.presentation_data_value_list)
                )
            self._wait_for_room(deadline)
            send_fragment(association, fragment)
        self._wait_for_room(deadline, in_flight=0)
        response = next_response(association)
        status = getattr(response, "Status", None)
        if response is None or status is None or not response.is_valid_response:
            raise self._failed("broke off or gave no answer in time")
        return int(status)

    def _fragments(self, request: C_STORE, context_id: int, data_set: ByteSource) -> Iterator[P_DATA]:
        if has_data_set(request):
            return fragments(request, context_id, self._fragment_bytes())
        return fragments_in_pieces(request, context_id, self._fragment_bytes(), data_set)

    def _fragment_bytes(self) -> int:
        """The largest PDU that the peer takes; ours where it takes any; less on a line that is kept slow."""
        most = most_pdu_bytes(self._requestor.association) or self._requestor.limits.pdu_bytes
        if self._rate_limit is None:
            return most
        return min(most, max(FRAGMENT_BYTES_MIN, self._rate_limit.piece_bytes))

    def _wait_for_room(self, deadline: float, *, in_flight: int = FRAGMENTS_IN_FLIGHT) -> None:
        """Wait until at most `in_flight` fragments are queued for the socket.

        The socket's own time-out ends a connection that takes nothing any more, which is noticed here. A peer that
        takes a little now and then meets the deadline.

        deadline: by time.monotonic().
        Raises PeerFailed.
        """
        association = self._requestor.association
        while queued_fragments(association) > in_flight:
            if has_broken_off(association):
                raise self._failed("broke off the association")
            if time.monotonic() > deadline:
                raise self._failed("takes the object too slowly", hint=SLOW_HINT)
            time.sleep(ROOM_POLL_S)

    def _failed(self, what: str, *, hint: str | None = None) -> PeerFailed:
        """Abort the association, and return the error to raise."""
        self._requestor.abort()
        return PeerFailed(f"{self._requestor.destination.name} {what}", hint=hint)


def _contexts(kinds: Iterable[ContextOffer]) -> list[ContextOffer]:
    """What to offer for objects of these kinds: each as it is, and uncompressed in case that is refused.

    There is one context for each transfer syntax, so that the peer's choice can't make us convert an object.
    """
    offers = list(dict.fromkeys(kinds))
    fallbacks = [(sop_class, syntax) for sop_class, _ in offers for syntax in UNCOMPRESSED]
    return list(dict.fromkeys([*offers, *fallbacks]))
