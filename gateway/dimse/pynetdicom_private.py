"""The one module that knows the inside of pynetdicom: private names, and internals that its documentation omits.

Another version may change any of them without notice. Each has a test in tests/unit/dimse/test_pynetdicom_private.py,
which also shows that no other module uses one. pyproject.toml pins the version that passes this test.

Some classes of pynetdicom are handed on because we derive from them. Our classes rely on this:

- AssociationSocket: `socket`, `ready`, `recv`; `send` catches every error.
- StateMachine: the upper layer calls `do_action` for each event, and an exception ends its thread.
- ACSE: the association calls `negotiate_association`; that calls `send_accept` when all contexts are decided.
- DIMSEServiceProvider: the upper layer calls `receive_primitive` for each P-DATA-TF PDU. `message` is the message that
  is being put together, None between two messages; the bytes of its data set are written to its `data_set`. The
  association's thread calls `get_msg` for the next request once it has answered the one before, and `send_msg` for
  each answer.
- Association: `send_n_event_report` takes any accepted context of the SOP class, whatever role was negotiated for it.
- RequestHandler, ThreadedAssociationServer: those of `socketserver`, with `_create_association` in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from pynetdicom import _config, dimse_messages
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import (
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
)
from pynetdicom.dimse_primitives import C_CANCEL, C_STORE, DIMSEPrimitive
from pynetdicom.events import InterventionEvent
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from gateway.dicom.lazy_bytes import ByteSource

__all__ = [
    "ACSE",
    "C_CANCEL_RQ",
    "C_ECHO_RQ",
    "C_FIND_RQ",
    "C_FIND_RSP",
    "C_GET_RQ",
    "C_GET_RSP",
    "C_MOVE_RQ",
    "C_MOVE_RSP",
    "C_STORE_RQ",
    "C_STORE_RSP",
    "N_ACTION_RQ",
    "N_EVENT_REPORT_RQ",
    "AssociationSocket",
    "DIMSEMessage",
    "FragmentServiceProvider",
    "PreparingRequestHandler",
    "ThreadedAssociationServer",
    "UpperLayerStateMachine",
    "accepted_contexts_by_id",
    "adopt_socket",
    "answer_ourselves",
    "end_abruptly",
    "fragments",
    "fragments_in_pieces",
    "has_broken_off",
    "has_data_set",
    "has_no_data_set",
    "install",
    "is_cancelled",
    "is_usable",
    "most_pdu_bytes",
    "next_message",
    "next_response",
    "pause_reactor",
    "queued_fragments",
    "raw_socket",
    "reject_association",
    "reject_context",
    "request_of",
    "resume_reactor",
    "send_fragment",
    "send_from_file",
    "send_message",
    "set_global_options",
]

# For a thread that has just passed the barrier to come back to it.
SETTLE_S = 0.02


def set_global_options() -> None:
    """Take all storage SOP classes, private and unknown ones included; no log handlers for every PDU.

    For the whole process; call it before a server is made.
    """
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"


# -- how an association is put together


class PreparingRequestHandler(RequestHandler):
    """Lets a derived class prepare each association before its threads start."""

    def prepare(self, association: Association) -> None:
        """Called once for each association, after it was configured."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        self.prepare(association)
        return association


class UpperLayerStateMachine(StateMachine):
    """The state machine of PS3.8 9.2, made for an association."""

    def __init__(self, association: Association) -> None:
        super().__init__(association.dul)


def install(
    association: Association,
    *,
    socket: AssociationSocket | None = None,
    state_machine: StateMachine | None = None,
    acse: ACSE | None = None,
    dimse: DIMSEServiceProvider | None = None,
) -> None:
    """Replace parts of an association whose threads have not started. What is None stays."""
    if socket is not None:
        association.dul.socket = socket
    if state_machine is not None:
        association.dul.state_machine = state_machine
    if acse is not None:
        association.acse = acse
    if dimse is not None:
        association.dimse = dimse


def adopt_socket(socket: AssociationSocket, association: Association) -> None:
    """Make `socket`, whose constructor was not run, the one that `association` has.

    A second construction would announce the connection a second time.
    """
    socket.__dict__.update(cast(AssociationSocket, association.dul.socket).__dict__)


def raw_socket(association: Association) -> object:
    """The connected socket.socket (under TLS the SSLSocket) of a requestor's association."""
    return cast(AssociationSocket, association.dul.socket).socket


def end_abruptly(state_machine: StateMachine, last_pdu: bytes) -> None:
    """End association and connection from inside the state machine, as pynetdicom does after errors in its loop.

    last_pdu: sent to the peer, if that is still possible.
    """
    dul = state_machine.dul
    association = dul.assoc
    if dul.socket is not None:
        dul.socket.send(last_pdu)
    association.is_aborted = True
    association.is_established = False
    association._kill = True
    dul._kill_thread = True
    # Wakes whoever waits for a primitive, as a time-out would.
    dul.to_user_queue.put(None)


# -- negotiation


def accepted_contexts_by_id(association: Association) -> dict[int, PresentationContext]:
    """The accepted presentation contexts by their id; a copy."""
    return dict(association._accepted_cx)


def reject_context(association: Association, context_id: int, result: int) -> None:
    """Turn an accepted context into a rejected one, before the acceptance is sent.

    result: PS3.8 9.3.3.2, table 9-18.
    """
    context = association._accepted_cx.pop(context_id)
    context.result = result
    association._rejected_cx.append(context)


def reject_association(association: Association, answer: tuple[int, int, int], *, linger_s: float) -> None:
    """Refuse a requested association.

    answer: result, source and reason of PS3.8 9.3.4.
    linger_s: after this, seconds, the connection is closed even if the peer goes on sending.
    """
    association.acse_timeout = linger_s
    association.acse.send_reject(*answer)
    association.kill()


# -- requests that we answer ourselves


def answer_ourselves(
    association: Association,
    servers: Mapping[type[DIMSEPrimitive], Callable[[Any, PresentationContext], None]],
) -> None:
    """Let requests of these types be answered by `servers`, in the association's own thread.

    pynetdicom's services parse each data set and send it written anew, and its answers have no way to hold back.

    servers: get the request and its presentation context; they send all responses, and must not raise.
    """
    others = association._serve_request

    def serve(msg: Any, context_id: int) -> None:
        server, context = servers.get(type(msg)), association._accepted_cx.get(context_id)
        if server is None or context is None or association._sent_release or not msg.is_valid_request:
            others(msg, context_id)
            return
        server(msg, context)
        association.dimse.cancel_req = {}
        # While we were sending, the peer had nothing to say.
        association.dul._idle_timer.restart()

    association._serve_request = serve  # type: ignore[method-assign]


def is_cancelled(association: Association, message_id: int) -> bool:
    """Whether the peer has cancelled the request with this Message ID, which is being answered."""
    return message_id in association.dimse.cancel_req


def send_message(association: Association, primitive: DIMSEPrimitive | C_CANCEL, context_id: int) -> None:
    """Queue a whole message for the thread that writes to the socket."""
    association.dimse.send_msg(primitive, context_id)  # type: ignore[arg-type]


# -- messages of an open association

# Message control header, PS3.8 E.2.
COMMAND, LAST = 1, 2
# As pynetdicom has it.
CANCELS_MAX = 10
# PS3.7 9.3
NO_DATA_SET = 0x0101


def request_of(event: InterventionEvent) -> type[DIMSEMessage]:
    """The message that brings the request of an event, C_ECHO_RQ for EVT_C_ECHO."""
    kind: type[DIMSEMessage] = getattr(dimse_messages, event.name.removeprefix("EVT_") + "_RQ")
    return kind


class FragmentServiceProvider(DIMSEServiceProvider):
    """Puts messages together fragment by fragment, and queues all of them for the association's own thread.

    pynetdicom's own starts a thread for each N-EVENT-REPORT, however many come, and passes over what stands behind the
    end of a message in the same PDU.
    """

    def begin(self) -> DIMSEMessage:
        """The message to put together next. A derived class may give it a place for its data set."""
        return DIMSEMessage()

    def on_fragment(self, context_id: int, control: int, size: int) -> None:
        """Called before each fragment of `message` is put to it. What it raises ends the upper layer's turn.

        control: COMMAND, LAST.
        size: bytes.
        """

    def on_command(self, message: DIMSEMessage, context_id: int) -> None:
        """Called when the command set of `message` was read. What it raises ends the upper layer's turn."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        for context_id, value in primitive.presentation_data_value_list:
            if self.message is None:
                self.message = self.begin()
            control = value[0]
            self.on_fragment(context_id, control, len(value) - 1)
            fragment = P_DATA()
            fragment.presentation_data_value_list.append((context_id, value))
            whole = self.message.decode_msg(fragment, self.assoc)
            if control & COMMAND and control & LAST:
                self.on_command(self.message, context_id)
            if whole:
                message, self.message = self.message, None
                self._queue(message.context_id or 0, message.message_to_primitive())

    def _queue(self, context_id: int, primitive: Any) -> None:
        """C-CANCEL requests are for the handler that is at work; pynetdicom keeps few of them."""
        if not isinstance(primitive, C_CANCEL):
            self.msg_queue.put((context_id, primitive))
        elif len(self.cancel_req) < CANCELS_MAX:
            self.cancel_req[primitive.MessageIDBeingRespondedTo or 0] = primitive

    @property
    def has_message(self) -> bool:
        """Whether a message waits for the association's thread."""
        return not self.msg_queue.empty()


def pause_reactor(association: Association) -> None:
    """Stop the association's own thread, which takes responses off the queue as if they were requests.

    pynetdicom pauses it for each message, and sometimes its thread passes the barrier once more: the response is
    lost, and only the time-out shows it. Call this right after the association was opened, when there is nothing to
    take; from then on the thread stands still.
    """
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    time.sleep(SETTLE_S)


def resume_reactor(association: Association) -> None:
    """Let the association's own thread go on, which cleans up where the peer has ended the association."""
    association._reactor_checkpoint.set()


def is_usable(association: Association) -> bool:
    """Whether the association is established, and no abort or release of the peer waits to be handled."""
    return (
        bool(association.is_established)
        and association.dul.is_alive()
        and association.dul.peek_next_pdu() is None
    )


def has_broken_off(association: Association) -> bool:
    """Whether the connection has ended or the peer has sent an abort."""
    return not association.dul.is_alive() or association.acse.is_aborted()


def send_from_file(request: C_STORE, path: Path, offset: int) -> None:
    """Let a request take its data set from a file, fragment by fragment.

    offset: where the data set begins, bytes.
    """
    request._dataset_path = path, offset


def has_data_set(request: C_STORE) -> bool:
    """Whether a request brings its data set, in memory or from a file."""
    return request.DataSet is not None or request._dataset_path is not None


def fragments(request: C_STORE, context_id: int, pdu_bytes_max: int) -> Iterator[P_DATA]:
    """The message as P-DATA fragments (PS3.7 6.3.1), each made when it is asked for."""
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.context_id = context_id
    yield from message.encode_msg(context_id, pdu_bytes_max)


def fragments_in_pieces(
    request: C_STORE, context_id: int, pdu_bytes_max: int, data_set: ByteSource
) -> Iterator[P_DATA]:
    """The same for a request without Data Set, with one that is read piece by piece.

    data_set: at least one byte.
    """
    message = C_STORE_RQ()
    # So that the command set says that a data set follows; it is taken out again.
    request.DataSet = BytesIO(b"\0\0")
    message.primitive_to_message(request)
    message.context_id, message.data_set = context_id, BytesIO()
    yield from message.encode_msg(context_id, pdu_bytes_max)
    # PS3.8 9.3.5.1: length, context id and control header of each fragment.
    size = pdu_bytes_max - 6
    for start in range(0, len(data_set), size):
        control = LAST if start + size >= len(data_set) else 0
        fragment = P_DATA()
        value = bytes((control,)) + data_set[start : start + size]
        fragment.presentation_data_value_list.append((context_id, value))
        yield fragment


def most_pdu_bytes(association: Association) -> int:
    """The largest PDU that the peer of an open association takes; 0 where it takes any size."""
    return int(association.dimse.maximum_pdu_size)


def send_fragment(association: Association, fragment: P_DATA) -> None:
    """Queue a fragment for the thread that writes to the socket."""
    association.dul.send_pdu(fragment)


def queued_fragments(association: Association) -> int:
    """How many fragments are queued and not yet in the socket."""
    return association.dul.to_provider_queue.qsize()


def has_no_data_set(message: DIMSEMessage) -> bool:
    """Whether nothing follows the command set that was read (PS3.7 9.3, Command Data Set Type)."""
    return bool(message.command_set.get("CommandDataSetType") == NO_DATA_SET)


def next_message(association: Association) -> tuple[int, DIMSEPrimitive] | None:
    """Presentation context id and message; None when none came within the association's `dimse_timeout`."""
    context_id, message = association.dimse.get_msg(block=True)
    return None if message is None or context_id is None else (context_id, message)


def next_response(association: Association) -> DIMSEPrimitive | None:
    """The next message of the peer; None when none came within the association's `dimse_timeout`."""
    return association.dimse.get_msg(block=True)[1]
