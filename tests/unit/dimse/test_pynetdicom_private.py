"""The inside of pynetdicom is as `gateway.dimse.pynetdicom_private` says, and no other module knows it."""

from __future__ import annotations

import ast
import inspect
import re
import socket
import socketserver
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import pynetdicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_STORE, N_EVENT_REPORT
from pynetdicom.presentation import build_context, build_role

from gateway.dicom.uids import STORAGE_COMMITMENT, VERIFICATION
from gateway.dimse import pynetdicom_private as private
from gateway.dimse.connections import Handler, Server
from gateway.dimse.incoming import Messages
from gateway.dimse.negotiation import Negotiation
from gateway.dimse.sockets import WatchedSocket
from gateway.dimse.upper_layer import ABORT, EndingStateMachine
from tests.support import pdus
from tests.support.gateway import wait_for
from tests.support.pdus import IMPLICIT, associate_rq

ROOT = Path(__file__).parents[3]
CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE_CLASS = "1.2.826.0.1.3680043.8.498.99"
PLAIN = str(ImplicitVRLittleEndian)

# Modules that pynetdicom does not document for its users.
INTERNAL_MODULES = {"acse", "dimse", "dimse_messages", "dul", "fsm", "pdu", "pdu_items", "timer", "transport"}
# Attributes without an underscore that lead inside.
INTERNAL_ATTRIBUTES = {
    "acse",
    "dimse",
    "dul",
    "to_provider_queue",
    "to_user_queue",
    "event_queue",
    "peek_next_pdu",
}


# -- the version, and who may know


def data_set_of(event: evt.Event) -> BytesIO:
    assert isinstance(event.request, C_STORE)
    assert isinstance(event.request.DataSet, BytesIO)
    return event.request.DataSet


def test_the_pinned_the_locked_and_the_installed_version_are_the_one_that_is_tested_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = [name for name in project["dependencies"] if name.startswith("pynetdicom")]
    locked = re.findall(
        r"^pynetdicom==\S+", (ROOT / "deploy" / "requirements.lock").read_text(), re.MULTILINE
    )
    assert pinned == locked == [f"pynetdicom=={version('pynetdicom')}"]


def private_names() -> set[str]:
    """Every name with an underscore that pynetdicom defines or sets, its special methods excepted."""
    package = Path(pynetdicom.__file__).parent
    names: set[str] = set()
    for path in package.glob("*.py"):
        names.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name):
                names.add(node.id)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def uses(path: Path, names: set[str]) -> list[str]:
    """What a module knows of the inside of pynetdicom."""
    used = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if (node.attr in names and not own) or node.attr in INTERNAL_ATTRIBUTES:
                used.append(f"{path.name}:{node.lineno}: .{node.attr}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pynetdicom":
            inner = (node.module or "").partition(".")[2]
            used += [
                f"{path.name}:{node.lineno}: {node.module}.{alias.name}"
                for alias in node.names
                if inner in INTERNAL_MODULES or inner.startswith("_") or alias.name.startswith("_")
            ]
    return used


def test_one_module_knows_the_inside() -> None:
    names = private_names()
    here = ROOT / "gateway" / "dimse" / "pynetdicom_private.py"
    assert {"_accepted_cx", "_reactor_checkpoint", "_kill_thread", "_config"} <= names
    assert uses(here, names), "the test finds what it looks for"
    others = [path for path in (ROOT / "gateway").rglob("*.py") if path != here]
    assert [use for path in others for use in uses(path, names)] == []


@pytest.mark.parametrize("ours", [EndingStateMachine, Handler, Messages, Negotiation, Server, WatchedSocket])
def test_a_derived_class_hides_no_private_name_by_accident(ours: type) -> None:
    (base,) = ours.__bases__
    tree = ast.parse(Path(inspect.getfile(ours)).read_text())
    (body,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == ours.__name__
    ]
    own = {
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own |= {node.name for node in body.body if isinstance(node, ast.FunctionDef)}
    sources = "".join(
        Path(inspect.getfile(parent)).read_text()
        for parent in base.__mro__
        if parent.__module__.startswith("pynetdicom.")
    )
    hidden = {name for name in own if name.startswith("_") and not name.startswith("__")}
    assert [name for name in hidden if re.search(rf"\bself\.{name}\b|def {name}\b", sources)] == []


# -- an acceptor and a requestor on loopback


@dataclass
class Acceptor:
    """A pynetdicom server whose associations `prepare` has seen."""

    port: int = 0
    associations: list[Association] = field(default_factory=list)


@contextmanager
def serving(
    *sop_classes: str,
    prepare: Callable[[Association], None] = lambda _association: None,
    handlers: Sequence[Any] = (),
) -> Iterator[Acceptor]:
    acceptor = Acceptor()

    class PreparingHandler(private.PreparingRequestHandler):
        def prepare(self, association: Association) -> None:
            assert not association.is_alive(), "before its threads start"
            acceptor.associations.append(association)
            prepare(association)

    server = AE(ae_title="ACCEPTOR").make_server(
        ("127.0.0.1", 0),
        contexts=[build_context(sop_class) for sop_class in sop_classes],
        evt_handlers=[*handlers],
        server_class=private.ThreadedAssociationServer,
        request_handler=PreparingHandler,
    )
    acceptor.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield acceptor
    finally:
        # The server's own `shutdown` works only for servers that the AE has started.
        socketserver.BaseServer.shutdown(server)
        server.server_close()
        thread.join(5)


@contextmanager
def associated(port: int, *sop_classes: str, **named: Any) -> Iterator[Association]:
    entity = AE(ae_title="REQUESTOR")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    contexts = [build_context(sop_class, PLAIN) for sop_class in sop_classes]
    association = entity.associate("127.0.0.1", port, contexts=contexts, **named)
    try:
        yield association
    finally:
        private.resume_reactor(association)
        if association.is_established:
            association.release()


def store_request() -> C_STORE:
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(CT), UID("1.2.3")
    return request


# -- each name does what we rely on


def test_global_options_take_every_storage_class_and_log_no_pdu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", False)
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "standard")
    private.set_global_options()
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, PRIVATE_CLASS) as association:
        assert association.is_established
        assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [PRIVATE_CLASS]
        assert not acceptor.associations[0].get_handlers(evt.EVT_PDU_RECV)
        assert not association.get_handlers(evt.EVT_PDU_RECV)


def test_installed_parts_do_the_work_of_the_association() -> None:
    worked: list[str] = []

    class OurSocket(private.AssociationSocket):
        def __init__(self, association: Association) -> None:
            private.adopt_socket(self, association)

        @property
        def ready(self) -> bool:
            return bool(super().ready)

        def recv(self, nr_bytes: int) -> bytearray:
            assert self.socket is not None
            worked.append("socket")
            return bytearray(super().recv(nr_bytes))

    class OurStateMachine(private.UpperLayerStateMachine):
        def do_action(self, event: str) -> None:
            worked.append(f"state machine {event}")
            super().do_action(event)

    class OurACSE(private.ACSE):
        def negotiate_association(self) -> None:
            worked.append("negotiation")
            super().negotiate_association()

        def send_accept(self) -> None:
            worked.append("acceptance")
            super().send_accept()

    class OurMessages(private.FragmentServiceProvider):
        def receive_primitive(self, primitive: Any) -> None:
            worked.append(f"message {self.message is None}")
            super().receive_primitive(primitive)

        def get_msg(self, block: bool = False) -> Any:
            message = super().get_msg(block)
            worked.append(f"request {message[1] is not None}")
            return message

        def send_msg(self, primitive: Any, context_id: int) -> None:
            super().send_msg(primitive, context_id)
            worked.append("answer")

    def prepare(association: Association) -> None:
        private.install(
            association,
            socket=OurSocket(association),
            state_machine=OurStateMachine(association),
            acse=OurACSE(association),
            dimse=OurMessages(association),
        )

    with (
        serving(VERIFICATION, prepare=prepare) as acceptor,
        associated(acceptor.port, VERIFICATION) as association,
    ):
        assert association.send_c_echo().Status == 0
        assert len(acceptor.associations) == 1
    assert worked.count("negotiation") == worked.count("acceptance") == 1
    assert worked.count("message True") == 1, "one fragment, and no message before it"
    assert worked.count("state machine Evt5") == 1, "the connection is announced once"
    asked = [word for word in worked if word in ("request True", "answer", "request False")]
    assert asked[asked.index("request True") :][:2] == ["request True", "answer"]
    assert {"socket", "state machine Evt6", "state machine Evt10"} <= {*worked}


def test_what_is_not_installed_stays() -> None:
    def prepare(association: Association) -> None:
        parts = association.dul.socket, association.dul.state_machine, association.acse, association.dimse
        private.install(association)
        assert parts == (
            association.dul.socket,
            association.dul.state_machine,
            association.acse,
            association.dimse,
        )

    with (
        serving(VERIFICATION, prepare=prepare) as acceptor,
        associated(acceptor.port, VERIFICATION) as association,
    ):
        assert association.send_c_echo().Status == 0


def test_a_data_set_arrives_by_write_in_the_object_that_was_put_in_its_place() -> None:
    class OurDataSet(BytesIO):
        written = 0

        def write(self, data: Any, /) -> int:
            self.written += len(data)
            return super().write(data)

    class OurMessages(private.FragmentServiceProvider):
        def begin(self) -> private.DIMSEMessage:
            message = private.DIMSEMessage()
            message.data_set = OurDataSet()
            return message

        def on_command(self, message: private.DIMSEMessage, context_id: int) -> None:
            assert context_id == 1
            assert isinstance(message, private.C_STORE_RQ), "known from the command set on"

        def on_fragment(self, context_id: int, control: int, size: int) -> None:  # noqa: ARG002
            message = self.message
            assert message is not None
            data_set, context_id = message.data_set, message.context_id or 0
            assert isinstance(data_set, OurDataSet)
            if data_set.written:
                assert isinstance(message, private.C_STORE_RQ)
                assert message.command_set.AffectedSOPInstanceUID == "1.2.3"
                assert private.accepted_contexts_by_id(self.assoc)[context_id].abstract_syntax == CT

    received: list[BytesIO] = []

    def on_store(event: evt.Event) -> int:
        received.append(data_set_of(event))
        return 0

    def prepare(association: Association) -> None:
        private.install(association, dimse=OurMessages(association))

    content = bytes(range(256)) * 400
    handlers = [(evt.EVT_C_STORE, on_store)]
    with (
        serving(CT, prepare=prepare, handlers=handlers) as acceptor,
        associated(acceptor.port, CT) as association,
    ):
        private.pause_reactor(association)
        request = store_request()
        request.DataSet = BytesIO(content)
        for fragment in private.fragments(request, 1, 4096):
            private.send_fragment(association, fragment)
        response = private.next_response(association)
        assert isinstance(response, C_STORE)
        assert response.Status == 0
    (data_set,) = received
    assert isinstance(data_set, OurDataSet)
    assert (data_set.written, data_set.getvalue()) == (len(content), content)


def test_every_message_in_one_pdu_is_queued_reports_among_them() -> None:
    served: list[str] = []

    class OurMessages(private.FragmentServiceProvider):
        def on_fragment(self, context_id: int, control: int, size: int) -> None:
            assert (context_id, control & private.COMMAND) == (1, private.COMMAND)
            assert size > 50

    def prepare(association: Association) -> None:
        private.install(association, dimse=OurMessages(association))

    def on_event_report(_event: evt.Event) -> tuple[int, None]:
        served.append(threading.current_thread().name)
        return 0, None

    report = pdus.event_report_rq(data_set=False)
    handlers = [(evt.EVT_N_EVENT_REPORT, on_event_report)]
    with serving(STORAGE_COMMITMENT, prepare=prepare, handlers=handlers) as acceptor:
        with pdus.Wire(acceptor.port) as wire:
            wire.send(pdus.associate_rq([(1, STORAGE_COMMITMENT, [IMPLICIT])], called="ANY"))
            wire.expect(pdus.ASSOCIATE_AC)
            wire.send(pdus.pdu(pdus.P_DATA, pdus.pdv(1, pdus.COMMAND | pdus.LAST, report) * 3))
            for _ in range(3):
                assert pdus.status_of(wire.expect(pdus.P_DATA)) == 0
        (association,) = acceptor.associations
        assert served == [association.name] * 3


def test_an_abrupt_end_reaches_the_peer_at_once_and_ends_both_threads() -> None:
    class FailingStateMachine(private.UpperLayerStateMachine):
        def do_action(self, event: str) -> None:
            if event == "Evt10":
                private.end_abruptly(self, ABORT)
            else:
                super().do_action(event)

    def prepare(association: Association) -> None:
        private.install(association, state_machine=FailingStateMachine(association))

    with (
        serving(VERIFICATION, prepare=prepare) as acceptor,
        associated(acceptor.port, VERIFICATION) as association,
    ):
        started = time.monotonic()
        association.send_c_echo()
        wait_for(lambda: association.is_aborted, what="the abort at the peer")
        (ended,) = acceptor.associations
        ended.join(5)
        ended.dul.join(5)
        assert not ended.is_alive()
        assert not ended.dul.is_alive()
        assert ended.is_aborted
        assert not ended.is_established
        assert time.monotonic() - started < 5, "and not by a time-out"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_in_the_state_machine_ends_the_upper_layer_and_leaves_the_peer_waiting() -> None:
    class RaisingStateMachine(private.UpperLayerStateMachine):
        def do_action(self, event: str) -> None:
            if event == "Evt10":
                raise ValueError("of the state machine")
            super().do_action(event)

    def prepare(association: Association) -> None:
        private.install(association, state_machine=RaisingStateMachine(association))

    with (
        serving(VERIFICATION, prepare=prepare) as acceptor,
        associated(acceptor.port, VERIFICATION) as association,
    ):
        association.dimse_timeout = 0.5
        association.send_c_echo()
        (ended,) = acceptor.associations
        ended.dul.join(5)
        assert not ended.dul.is_alive()
        assert not ended.is_aborted


def test_sending_on_a_closed_connection_raises_nothing() -> None:
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, VERIFICATION) as association:
        wrapped = association.dul.socket
        assert wrapped is not None
        assert wrapped.socket is not None
        wrapped.socket.close()
        wrapped.send(ABORT)


def test_a_context_that_was_accepted_can_be_rejected() -> None:
    class PickyACSE(private.ACSE):
        def send_accept(self) -> None:
            contexts = private.accepted_contexts_by_id(self.assoc)
            assert {number: str(context.abstract_syntax) for number, context in contexts.items()} == {
                1: VERIFICATION,
                3: CT,
            }
            private.reject_context(self.assoc, 3, 3)
            super().send_accept()

    def prepare(association: Association) -> None:
        private.install(association, acse=PickyACSE(association))

    with (
        serving(VERIFICATION, CT, prepare=prepare) as acceptor,
        associated(acceptor.port, VERIFICATION, CT) as association,
    ):
        assert [context.abstract_syntax for context in association.accepted_contexts] == [VERIFICATION]
        assert [(c.abstract_syntax, c.result) for c in association.rejected_contexts] == [(CT, 3)]
        (ours,) = acceptor.associations
        assert [*private.accepted_contexts_by_id(ours)] == [1]
        assert [context.context_id for context in ours.rejected_contexts] == [3]


def test_the_accepted_contexts_are_a_copy() -> None:
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, VERIFICATION) as association:
        private.accepted_contexts_by_id(association).clear()
        assert [*private.accepted_contexts_by_id(association)] == [1]


def test_a_rejected_association_gets_the_answer_and_ends() -> None:
    def on_requested(event: evt.Event) -> None:
        private.reject_association(event.assoc, (2, 3, 2), linger_s=1.0)

    handlers = [(evt.EVT_REQUESTED, on_requested)]
    with (
        serving(VERIFICATION, handlers=handlers) as acceptor,
        associated(acceptor.port, VERIFICATION) as association,
    ):
        assert association.is_rejected
        answer = association.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        (refused,) = acceptor.associations
        refused.join(5)
        assert not refused.is_alive()
        assert refused.is_rejected


def test_the_connection_of_a_rejected_peer_that_stays_is_closed() -> None:
    def on_requested(event: evt.Event) -> None:
        private.reject_association(event.assoc, (1, 1, 1), linger_s=0.5)

    with (
        serving(VERIFICATION, handlers=[(evt.EVT_REQUESTED, on_requested)]) as acceptor,
        socket.create_connection(("127.0.0.1", acceptor.port), timeout=10) as raw,
    ):
        raw.sendall(associate_rq([(1, VERIFICATION, [IMPLICIT])], calling="STAYS"))
        started = time.monotonic()
        assert raw.recv(100)[:1] == b"\x03"
        while raw.recv(100):
            pass
        assert time.monotonic() - started < 5
        assert acceptor.associations[0].dul.artim_timer.timeout == 0.5, "should it go on sending"


@pytest.mark.parametrize("roles", [[], [build_role(STORAGE_COMMITMENT, scp_role=True)]])
def test_a_report_is_sent_although_the_peer_confirmed_no_role(roles: list[Any]) -> None:
    reports: list[int] = []

    def on_event_report(event: evt.Event) -> tuple[int, None]:
        assert isinstance(event.request, N_EVENT_REPORT)
        assert event.request.EventTypeID is not None
        reports.append(event.request.EventTypeID)
        return 0, None

    handlers = [(evt.EVT_N_EVENT_REPORT, on_event_report)]
    information = Dataset()
    information.TransactionUID = "1.2.3"
    with (
        serving(STORAGE_COMMITMENT, handlers=handlers) as acceptor,
        associated(acceptor.port, STORAGE_COMMITMENT, ext_neg=roles) as association,
    ):
        assert [context.as_scp for context in association.accepted_contexts] == [False]
        instance = UID("1.2.840.10008.1.20.1.1")
        status, _ = association.send_n_event_report(information, 1, UID(STORAGE_COMMITMENT), instance)
        assert status.Status == 0
    assert reports == [1]


def test_no_response_is_lost_while_the_reactor_is_paused(tmp_path: Path) -> None:
    received: list[bytes] = []

    def on_store(event: evt.Event) -> int:
        received.append(data_set_of(event).getvalue())
        return 0

    path, content = tmp_path / "file", bytes(range(256)) * 200
    path.write_bytes(b"before the data set" + content)
    with (
        serving(CT, handlers=[(evt.EVT_C_STORE, on_store)]) as acceptor,
        associated(acceptor.port, CT, max_pdu=8192) as association,
    ):
        private.pause_reactor(association)
        assert private.most_pdu_bytes(association) == pynetdicom._globals.DEFAULT_MAX_LENGTH
        queued = []
        for _ in range(30):
            request = store_request()
            private.send_from_file(request, path, len(b"before the data set"))
            for fragment in private.fragments(request, 1, 1024):
                ((context_id, value),) = fragment.presentation_data_value_list
                assert context_id == 1
                assert len(value) <= 1024
                private.send_fragment(association, fragment)
                queued.append(private.queued_fragments(association))
            response = private.next_response(association)
            assert isinstance(response, C_STORE)
            assert response.is_valid_response
            assert response.Status == 0
            assert private.queued_fragments(association) == 0
        assert max(queued) > 0
    assert received == [content] * 30


def test_no_response_in_time_is_none() -> None:
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, VERIFICATION) as association:
        private.pause_reactor(association)
        association.dimse_timeout = 0.1
        assert private.next_response(association) is None


def test_an_association_that_its_peer_aborted_is_not_usable_and_cleans_up_when_resumed() -> None:
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, VERIFICATION) as association:
        private.pause_reactor(association)
        assert private.is_usable(association)
        assert not private.has_broken_off(association)
        acceptor.associations[0].abort()
        wait_for(lambda: private.has_broken_off(association), what="the abort")
        assert not private.is_usable(association)
        assert association.is_alive(), "it stands still"
        private.resume_reactor(association)
        association.join(5)
        assert association.is_aborted
        assert not association.is_alive()


def test_an_association_that_its_peer_releases_is_not_usable() -> None:
    with serving(VERIFICATION) as acceptor, associated(acceptor.port, VERIFICATION) as association:
        private.pause_reactor(association)
        acceptor.associations[0].acse.send_release()
        wait_for(lambda: not private.is_usable(association), what="the release")
        assert not private.has_broken_off(association)
        private.resume_reactor(association)
        association.join(5)
        assert association.is_released


def test_the_raw_socket_of_a_requestor_is_connected_when_it_is_announced() -> None:
    peers: list[Any] = []

    def on_connected(event: evt.Event) -> None:
        raw = private.raw_socket(event.assoc)
        assert isinstance(raw, socket.socket)
        peers.append(raw.getpeername())

    with serving(VERIFICATION) as acceptor:
        handlers = [(evt.EVT_CONN_OPEN, on_connected)]
        with associated(acceptor.port, VERIFICATION, evt_handlers=handlers):
            assert peers == [("127.0.0.1", acceptor.port)]


STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def question() -> C_FIND:
    request = C_FIND()
    request.MessageID, request.Priority = 7, 0
    request.AffectedSOPClassUID, request.Identifier = UID(STUDY_FIND), BytesIO(b"12345678")
    return request


def test_a_request_that_we_answer_ourselves_is_answered_by_nobody_else() -> None:
    cancelled: list[bool] = []

    def answer(association: Association, request: Any, context: Any) -> None:
        wait_for(lambda: private.is_cancelled(association, request.MessageID), what="the C-CANCEL")
        cancelled.append(private.is_cancelled(association, request.MessageID + 1))
        response = C_FIND()
        response.MessageIDBeingRespondedTo, response.Status = request.MessageID, 0xFE00
        private.send_message(association, response, context.context_id)

    def prepare(association: Association) -> None:
        private.install(association, dimse=private.FragmentServiceProvider(association))
        private.answer_ourselves(
            association, {C_FIND: lambda request, context: answer(association, request, context)}
        )

    with (
        serving(STUDY_FIND, VERIFICATION, prepare=prepare) as acceptor,
        associated(acceptor.port, STUDY_FIND, VERIFICATION) as association,
    ):
        private.pause_reactor(association)
        private.send_message(association, question(), 1)
        cancel = C_CANCEL()
        cancel.MessageIDBeingRespondedTo = 7
        private.send_message(association, cancel, 1)
        received = private.next_message(association)
        assert received is not None
        context_id, response = received
        assert context_id == 1
        assert isinstance(response, C_FIND)
        assert response.Status == 0xFE00
        association.dimse_timeout = 0.05
        assert private.next_message(association) is None
        # Others are answered as before, and the cancel is forgotten.
        association.dimse_timeout = 10
        assert association.send_c_echo().Status == 0
        assert not private.is_cancelled(acceptor.associations[0], 7)
    assert cancelled == [False]


def test_a_message_says_whether_a_data_set_follows() -> None:
    for primitive, without in ((question(), False), (store_request(), True)):
        kind = private.C_FIND_RQ if isinstance(primitive, C_FIND) else private.C_STORE_RQ
        message = kind()
        message.primitive_to_message(primitive)
        assert private.has_no_data_set(message) is without


@pytest.mark.parametrize("size", [2, 100, 506, 507, 5000])
def test_a_data_set_in_pieces_is_the_same_message(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    whole, in_pieces = store_request(), store_request()
    whole.DataSet = BytesIO(data)
    assert private.has_data_set(whole)
    assert not private.has_data_set(in_pieces)

    def values(fragments: Iterator[Any]) -> list[tuple[int, bytes]]:
        return [
            (context_id, bytes(value))
            for fragment in fragments
            for context_id, value in fragment.presentation_data_value_list
        ]

    assert values(private.fragments_in_pieces(in_pieces, 3, 512, data)) == values(
        private.fragments(whole, 3, 512)
    )
