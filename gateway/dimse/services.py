"""What a service must offer so that the listener can answer for it, and the smallest one: C-ECHO.

Storage is in `gateway.dimse.storage`, storage commitment in `gateway.commitment.service`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.uids import VERIFICATION
from gateway.dimse.association import AssociationState
from gateway.dimse.peer_request import PeerRequest, QueryPrimitive
from gateway.dimse.pynetdicom_private import answer_ourselves
from gateway.dimse.statuses import SUCCESS
from gateway.dimse.terms import MessageTerms

EventHandler = Callable[[evt.Event, AssociationState], object]
# Events of the negotiation of an association, which no message brings.
NEGOTIATED = (evt.EVT_SOP_EXTENDED,)
Responder = Callable[[PeerRequest, AssociationState], None]
PRIMITIVES: dict[evt.InterventionEvent, type[QueryPrimitive]] = {
    evt.EVT_C_FIND: C_FIND,
    evt.EVT_C_GET: C_GET,
    evt.EVT_C_MOVE: C_MOVE,
}


class AssociationService(Protocol):
    """One kind of request that peers make over an association."""

    def contexts(self) -> list[PresentationContext]:
        """The presentation contexts that peers may negotiate for it."""

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        """The handler of each pynetdicom event that is a request to this service.

        A handler runs in the association's thread. It returns what pynetdicom expects for its event: the DIMSE status
        of C-ECHO and C-STORE; status and data set of an N service; an iterator of status and data set of C-FIND,
        C-GET and C-MOVE; what is accepted of EVT_SOP_EXTENDED. It must not raise: pynetdicom would answer with a
        status of its own, and log a traceback that may quote patient data.
        """


@runtime_checkable
class RespondingService(Protocol):
    """A service that sends the responses itself: those of C-FIND, C-GET and C-MOVE are many, and can be cancelled."""

    def responders(self) -> Mapping[evt.InterventionEvent, Responder]:
        """What answers each event, a key of PRIMITIVES.

        It runs in the association's thread, sends all responses, and must not raise.
        """


def handlers_of(services: Iterable[AssociationService]) -> dict[evt.InterventionEvent, EventHandler]:
    """The handlers of all services together.

    Raises ValueError when two services answer the same event.
    """
    handlers: dict[evt.InterventionEvent, EventHandler] = {}
    for service in services:
        for event, handler in service.handlers().items():
            if event in handlers:
                raise ValueError(f"two services answer {event.name}")
            handlers[event] = handler
    return handlers


class EchoService:
    """Answers C-ECHO (PS3.4 annex A)."""

    def contexts(self) -> list[PresentationContext]:
        return [build_context(VERIFICATION)]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {evt.EVT_C_ECHO: lambda _event, _state: SUCCESS}


def bind_responders(services: Iterable[AssociationService], state: AssociationState) -> None:
    """Let the services that respond themselves do so on a new association."""

    def server(responder: Responder) -> Callable[[QueryPrimitive, PresentationContext], None]:
        return lambda primitive, context: responder(PeerRequest(state.association, primitive, context), state)

    answer_ourselves(
        state.association,
        {
            PRIMITIVES[event]: server(responder)
            for service in services
            if isinstance(service, RespondingService)
            for event, responder in service.responders().items()
        },
    )


def terms_of(services: Iterable[AssociationService]) -> MessageTerms:
    """What peers may send to all services together."""
    return MessageTerms(
        (
            frozenset(str(context.abstract_syntax) for context in service.contexts()),
            [
                *(event for event in service.handlers() if event not in NEGOTIATED),
                *(service.responders() if isinstance(service, RespondingService) else ()),
            ],
        )
        for service in services
    )
