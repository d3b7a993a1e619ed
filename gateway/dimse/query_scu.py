"""C-FIND, C-GET and C-MOVE as SCU (PS3.4 C.4): an archive is asked, and what it sends is read within limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol, TypeVar

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE, C_STORE, DIMSEPrimitive
from pynetdicom.pdu_primitives import P_DATA

from gateway.dicom.lazy_bytes import ByteSource
from gateway.dimse.incoming import Incoming, Messages
from gateway.dimse.peer_request import QueryPrimitive, SubOperations
from gateway.dimse.pynetdicom_private import (
    accepted_contexts_by_id,
    has_broken_off,
    next_message,
    send_message,
)
from gateway.dimse.requestor import ContextOffer, Requestor
from gateway.dimse.statuses import PROCESSING_FAILURE, is_pending
from gateway.dimse.terms import ArchiveTerms, MemoryBudget
from gateway.errors import GatewayError, PeerFailed, SpoolFull
from gateway.spool import Spool

Looked = TypeVar("Looked")
POLL_S = 0.1
# For the last response after a C-CANCEL.
CANCEL_S = 10.0
MESSAGE_IDS = 65535


@dataclass(frozen=True, kw_only=True)
class QueryResponse:
    """One response of the archive.

    identifier: empty for none.
    syntax: UID of the transfer syntax of the identifier.
    counts: of the sub-operations, as far as the archive tells them.
    """

    status: int
    identifier: bytes
    syntax: str
    counts: SubOperations


class ArrivedData(Protocol):
    """The data set of an object that came, in memory or not.

    failure: why it can't be read; None while all is well.
    """

    failure: SpoolFull | None

    def looked_at(self, look: Callable[[ByteSource], Looked]) -> Looked:
        """Return what `look` returns for the data set. Raises SpoolFull, and what `look` raises."""


@dataclass(frozen=True, kw_only=True)
class FetchedObject:
    """An object that the archive sends for a C-GET. Its bytes are gone when the function that got it returns.

    syntax: UID of its transfer syntax.
    """

    sop_class: str
    sop_instance: str
    syntax: str
    data: ArrivedData


# Returns the DIMSE status of the sub-operation.
OnObject = Callable[[FetchedObject], int]


class ArchiveMessages(Messages):
    """Messages of an archive. One that breaks our limits is the last that is read."""

    broken: BaseException | None = None

    def receive_primitive(self, primitive: P_DATA) -> None:
        if self.broken is not None:
            return
        try:
            super().receive_primitive(primitive)
        # Whatever an archive sends must not end the thread that reads it.
        except Exception as error:  # noqa: BLE001
            self.broken = error


class QueryScu:
    """Asks over the association of a requestor, which its owner closes. Not for several threads at once."""

    def __init__(self, requestor: Requestor, *, spool: Spool, memory: MemoryBudget) -> None:
        """spool, memory: for objects while they arrive."""
        self._requestor = requestor
        self._spool, self._memory = spool, memory
        self._messages: ArchiveMessages | None = None
        self._message_id = 0

    @property
    def accepted(self) -> Iterable[ContextOffer]:
        """What the archive accepted, SOP class and transfer syntax."""
        return self._requestor.accepted

    @property
    def extended(self) -> dict[str, bytes]:
        """What the archive accepted in extended negotiation, SOP class -> application information."""
        accepted = self._requestor.association.acceptor.sop_class_extended
        return {str(sop_class): bytes(information) for sop_class, information in accepted.items()}

    def open(
        self,
        contexts: Iterable[ContextOffer],
        *,
        as_scp: Iterable[str] = (),
        extended: Mapping[str, bytes] | None = None,
    ) -> None:
        """Open the association; see Requestor.open. Raises PeerUnreachable, DeliveryLoop."""
        self._requestor.open(contexts, as_scp=as_scp, extended=extended, reads=self._reader)
        self._requestor.association.dimse_timeout = POLL_S

    def close(self) -> None:
        self._requestor.close()
        self._forget()

    def abort(self) -> None:
        self._requestor.abort()
        self._forget()

    def find(
        self,
        context: ContextOffer,
        identifier: bytes,
        *,
        deadline: float,
        is_cancelled: Callable[[], bool],
        priority: int = 0,
    ) -> Iterator[QueryResponse]:
        """The archive's responses, the last one included, unless the iteration is left before.

        context: SOP class and transfer syntax, accepted; the identifier is written in it.
        deadline: by time.monotonic().
        is_cancelled: asked again and again; a C-CANCEL is passed on once.
        Raises PeerFailed when it breaks off or takes too long; then the association is aborted.
        """
        yield from self._asked(C_FIND(), context, identifier, deadline, is_cancelled, priority, None)

    def get(
        self,
        context: ContextOffer,
        identifier: bytes,
        *,
        on_object: OnObject,
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[QueryResponse]:
        """As `find`, for C-GET. `on_object` gets each object, in this thread.

        Raises PeerFailed, and what `on_object` raises; then the association is aborted.
        """
        yield from self._asked(C_GET(), context, identifier, deadline, is_cancelled, 0, on_object)

    def move(
        self,
        context: ContextOffer,
        identifier: bytes,
        *,
        to: str,
        deadline: float,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[QueryResponse]:
        """As `find`, for C-MOVE to the AE title `to`. Raises PeerFailed."""
        request = C_MOVE()
        request.MoveDestination = to
        yield from self._asked(request, context, identifier, deadline, is_cancelled, 0, None)

    def _asked(
        self,
        request: QueryPrimitive,
        context: ContextOffer,
        identifier: bytes,
        deadline: float,
        is_cancelled: Callable[[], bool],
        priority: int,
        on_object: OnObject | None,
    ) -> Iterator[QueryResponse]:
        self._message_id = self._message_id % MESSAGE_IDS + 1
        request.MessageID = self._message_id
        request.AffectedSOPClassUID = UID(context[0])
        request.Priority = priority
        request.Identifier = BytesIO(identifier)
        context_id = self._requestor.accepted[context]
        association = self._requestor.association
        ended = False
        try:
            send_message(association, request, context_id)
            for received_on, message in self._received(context_id, deadline, is_cancelled):
                if isinstance(message, C_STORE) and message.MessageIDBeingRespondedTo is None:
                    self._answer(message, received_on, on_object)
                    continue
                if type(message) is not type(request) or getattr(message, "Status", None) is None:
                    raise PeerFailed(f"{self._name} sent a message that answers nothing")
                response = _response(message, context[1])
                ended = not is_pending(response.status)
                yield response
                if ended:
                    return
        finally:
            # Its further responses would be taken for those to the next request.
            if not ended:
                self.abort()

    def _received(
        self, context_id: int, deadline: float, is_cancelled: Callable[[], bool]
    ) -> Iterator[tuple[int, DIMSEPrimitive]]:
        """What the archive sends. Raises PeerFailed."""
        association = self._requestor.association
        silent_until = time.monotonic() + self._requestor.limits.dimse_timeout_s
        cancelled = False
        while True:
            if not cancelled and is_cancelled():
                cancelled = True
                cancel = C_CANCEL()
                cancel.MessageIDBeingRespondedTo = self._message_id
                send_message(association, cancel, context_id)
                deadline = min(deadline, time.monotonic() + CANCEL_S)
            if time.monotonic() > min(deadline, silent_until):
                raise PeerFailed(f"{self._name} gave no answer in time")
            message = next_message(association)
            if message is not None:
                yield message
                silent_until = time.monotonic() + self._requestor.limits.dimse_timeout_s
            elif self._messages is not None and self._messages.broken is not None:
                raise PeerFailed(f"{self._name} broke the protocol: {_words(self._messages.broken)}")
            elif has_broken_off(association):
                raise PeerFailed(f"{self._name} broke off the association")

    def _answer(self, request: C_STORE, context_id: int, on_object: OnObject | None) -> None:
        """Hand an object on, and answer its sub-operation."""
        data = request.DataSet
        context = accepted_contexts_by_id(self._requestor.association).get(context_id)
        status = PROCESSING_FAILURE
        if isinstance(data, Incoming):
            try:
                if on_object is not None and context is not None:
                    status = on_object(
                        FetchedObject(
                            sop_class=str(request.AffectedSOPClassUID),
                            sop_instance=str(request.AffectedSOPInstanceUID),
                            syntax=str(context.transfer_syntax[0]),
                            data=data,
                        )
                    )
            finally:
                data.discard()
        response = C_STORE()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.Status = status
        send_message(self._requestor.association, response, context_id)

    @property
    def _name(self) -> str:
        return self._requestor.destination.name

    def _reader(self, association: Association) -> ArchiveMessages:
        self._messages = ArchiveMessages(
            association, spool=self._spool, memory=self._memory, terms=ArchiveTerms()
        )
        self._messages.let_in(lambda _sop_class: True)
        return self._messages

    def _forget(self) -> None:
        messages, self._messages = self._messages, None
        if messages is not None:
            messages.discard()


def _response(message: Any, syntax: str) -> QueryResponse:
    identifier = message.Identifier
    content = b"" if identifier is None else identifier.getvalue()
    if isinstance(identifier, Incoming):
        identifier.discard()
    return QueryResponse(
        status=int(message.Status),
        identifier=content,
        syntax=syntax,
        counts=SubOperations(
            remaining=getattr(message, "NumberOfRemainingSuboperations", None),
            completed=getattr(message, "NumberOfCompletedSuboperations", None) or 0,
            failed=getattr(message, "NumberOfFailedSuboperations", None) or 0,
            warning=getattr(message, "NumberOfWarningSuboperations", None) or 0,
        ),
    )


def _words(error: BaseException) -> str:
    """What may be told of an error: others quote values."""
    return str(error) if isinstance(error, GatewayError) else type(error).__name__
