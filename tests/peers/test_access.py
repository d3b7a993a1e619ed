"""Who may open an association, and what for: real senders, let in or refused with the reason of PS3.8 9.3.4."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from gateway.commands.demo.dcmtk import echoscu, storescu
from gateway.commands.demo.process import free_port
from gateway.dicom.uids import VERIFICATION
from gateway.dimse import users
from gateway.dimse.negotiation import Negotiation
from gateway.errors import PeerError
from tests.support import pdus
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, _answers_for_us, _send_one, parcel, send
from tests.support.objects import ct

HANG_S = 120.0
CT, REPORT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.22"

NODES = """
[limits]
acse_timeout_s = 5
associations_per_peer = 4
free_bytes_min = 0
[[node]]
name = "ct-1"
ae_title = "CT1"
hosts = ["127.0.0.1", "::1"]
[[node]]
name = "elsewhere"
ae_title = "FAR"
hosts = ["10.99.0.0/16", "no-such-host.invalid"]
[[node]]
name = "by-name"
ae_title = "NAMED"
hosts = ["localhost"]
[[node]]
name = "watchman"
ae_title = "WATCH"
hosts = ["127.0.0.0/8"]
services = "echo"
[[node]]
name = "reporter"
ae_title = "REPORTS"
hosts = ["127.0.0.0/8"]
sop_classes = "1.2.840.10008.5.1.4.1.1.88.*"
"""


def guarded(folder: Path, *, extra: str = NODES, listener: str = "") -> RunningGateway:
    """A gateway (not started) that lets in nodes only; its destination does not exist."""
    return RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="ORTHANC", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
        extra=extra,
        listener=listener,
        dicom_port=free_port(),
        http_port=free_port(),
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with guarded(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def associate(
    port: int, calling: str, *, called: str = "SEALGATE", sop_class: str = VERIFICATION
) -> Association:
    return AE(ae_title=calling).associate(
        "127.0.0.1", port, [build_context(sop_class, "1.2.840.10008.1.2")], ae_title=called
    )


def offered(port: int, calling: str, *sop_classes: str) -> tuple[set[str], set[tuple[str, int]]]:
    """SOP classes of accepted contexts, and of refused ones with the result."""
    contexts = [build_context(sop_class, "1.2.840.10008.1.2") for sop_class in sop_classes]
    association = AE(ae_title=calling).associate("127.0.0.1", port, contexts, ae_title="SEALGATE")
    accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
    refused = {
        (str(context.abstract_syntax), cast(int, context.result)) for context in association.rejected_contexts
    }
    association.release()
    return accepted, refused


def refused_lines(gateway: RunningGateway, code: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("code") == code]


def test_a_configured_node_may_echo_and_store(gateway: RunningGateway) -> None:
    assert echoscu(gateway.dicom_port, calling="CT1")
    (item,) = [parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")]
    assert send([item], gateway.dicom_port, calling="CT1") == [0]


def test_a_node_may_be_named_by_its_host_name(gateway: RunningGateway) -> None:
    assert echoscu(gateway.dicom_port, calling="NAMED")


@pytest.mark.parametrize(
    ("calling", "called", "code", "answer"),
    [
        ("STRANGER", "SEALGATE", "calling-unknown", (1, 1, 3)),
        ("ct1", "SEALGATE", "calling-unknown", (1, 1, 3)),  # AE titles are compared as they are
        ("ORTHANC", "SEALGATE", "calling-unknown", (1, 1, 3)),  # a destination is no node by itself
        ("FAR", "SEALGATE", "address-unknown", (1, 1, 3)),
        ("CT1", "NOBODY", "called-unknown", (1, 1, 7)),
    ],
)
def test_others_are_refused_with_the_reason_counted_and_logged_with_a_hint(
    gateway: RunningGateway, calling: str, called: str, code: str, answer: tuple[int, int, int]
) -> None:
    before, lines = (
        gateway.metric("sealgate_associations_refused_total", reason=code),
        refused_lines(gateway, code),
    )
    assert pdus.refusal(gateway.dicom_port, calling=calling, called=called) == answer
    gateway.until_metric("sealgate_associations_refused_total", before + 1, reason=code)
    wait_for(lambda: len(refused_lines(gateway, code)) > len(lines), what="the line in the log")
    line = refused_lines(gateway, code)[-1]
    assert (line["calling"], line["called"], line["peer"]) == (calling, called, "127.0.0.1")
    assert line["problem"]
    assert line["hint"]


def test_contexts_are_refused_one_by_one_by_service_and_sop_class(gateway: RunningGateway) -> None:
    accepted, refused = offered(gateway.dicom_port, "REPORTS", VERIFICATION, CT, REPORT, "2.25.7")
    assert accepted == {VERIFICATION, REPORT}
    assert refused == {(CT, 3), ("2.25.7", 3)}
    gateway.until_metric("sealgate_contexts_refused_total", 2, node="reporter", service="store")


def test_a_node_without_storage_can_echo_only(gateway: RunningGateway) -> None:
    assert echoscu(gateway.dicom_port, calling="WATCH")
    assert offered(gateway.dicom_port, "WATCH", VERIFICATION, CT) == ({VERIFICATION}, {(CT, 3)})


@pytest.mark.parametrize(("calling", "context"), [("WATCH", VERIFICATION), ("REPORTS", REPORT)])
def test_an_object_smuggled_through_another_context_is_not_taken(
    gateway: RunningGateway, calling: str, context: str
) -> None:
    association = associate(gateway.dicom_port, calling, sop_class=context)
    (number,) = [cast(int, accepted.context_id) for accepted in association.accepted_contexts]
    smuggled = Parcel(CT, "2.25.77", "1.2.840.10008.1.2", b"\x08\x00\x16\x00\x02\x00\x00\x001\x00")
    with _answers_for_us(association):
        status = _send_one(association, {(CT, smuggled.syntax): number}, smuggled, 1)
    association.release()
    assert status == 0x0124


def test_one_address_has_a_limit_of_its_own(gateway: RunningGateway) -> None:
    gateway.until_metric("sealgate_associations_active", 0)
    held = [associate(gateway.dicom_port, "CT1") for _ in range(4)]
    try:
        assert all(association.is_established for association in held)
        assert pdus.refusal(gateway.dicom_port, calling="CT1") == (2, 3, 2)
        elsewhere = AE(ae_title="WATCH").associate(
            "127.0.0.1",
            gateway.dicom_port,
            [build_context(VERIFICATION)],
            ae_title="SEALGATE",
            bind_address=("127.0.0.9", 0),
        )
        assert elsewhere.is_established
        elsewhere.release()
    finally:
        for association in held:
            association.release()
    wait_for(lambda: bool(refused_lines(gateway, "peer-limit")), what="the line in the log")


def test_hundreds_of_silent_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    """No time-out has ended any of them when others are answered."""
    with (
        guarded(tmp_path, extra=NODES.replace("acse_timeout_s = 5", "acse_timeout_s = 600")) as gateway,
        ExitStack() as open_ones,
    ):
        for _ in range(300):
            silent = socket.create_connection(("127.0.0.1", gateway.dicom_port), timeout=HANG_S)
            open_ones.enter_context(silent)
        assert echoscu(gateway.dicom_port, calling="CT1")
        wait_for(
            lambda: gateway.metric("sealgate_associations_refused_total", reason="crowded") >= 200,
            what="the oldest pushed out",
        )
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # the newest is still there
            silent.recv(1)


def test_a_silent_connection_is_ended_at_its_deadline(gateway: RunningGateway) -> None:
    before = gateway.metric("sealgate_associations_refused_total", reason="silent")
    with socket.create_connection(("127.0.0.1", gateway.dicom_port), timeout=HANG_S) as silent:
        assert silent.recv(1) == b""
    gateway.until_metric("sealgate_associations_refused_total", before + 1, reason="silent")


def test_what_is_no_association_request_is_answered_with_an_abort(gateway: RunningGateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.dicom_port), timeout=HANG_S) as web:
        web.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert web.recv(100)[:1] == b"\x07"
    wait_for(
        lambda: gateway.metric("sealgate_associations_refused_total", reason="not-dicom") > 0, what="count"
    )


def test_a_context_without_transfer_syntaxes_ends_the_association(gateway: RunningGateway) -> None:
    with pdus.Wire(gateway.dicom_port) as wire:
        wire.send(pdus.associate_rq([(1, CT, [])], calling="CT1"))
        assert wire.socket.recv(100)[:1] == bytes([pdus.ABORT])
    gateway.until_logged('"protocol broken"')
    assert "Traceback" not in gateway.log


# pydicom says so of "a.b".
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning:pydicom")
def test_an_abstract_syntax_that_is_no_uid_is_refused_whoever_asks(tmp_path: Path) -> None:
    with guarded(tmp_path, listener='accept = "any"') as gateway:
        for calling in ("STRANGER", "CT1"):
            assert offered(gateway.dicom_port, calling, CT, "a.b") == ({CT}, {("a.b", 3)})


def test_nobody_is_in_before_it_was_decided() -> None:
    """pynetdicom swallows what handlers raise, and goes on; an error while deciding must not open the door."""

    def undecided(event: Any) -> None:
        event.assoc.acse = Negotiation(event.assoc, lambda _error: None)

    entity = AE()
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_CONN_OPEN, undecided)])
    assert server is not None
    try:
        assert associate(server.server_address[1], "CT1").is_aborted
    finally:
        server.shutdown()


def test_a_node_added_to_the_file_is_let_in_after_a_reload(tmp_path: Path) -> None:
    with guarded(tmp_path, extra="[limits]\nfree_bytes_min = 0\n") as gateway:
        gateway.until_logged("no node may associate")
        assert not echoscu(gateway.dicom_port, calling="NEW")
        held = gateway.config.read_text()
        gateway.config.write_text(held + '[[node]]\nname = "n"\nae_title = "NEW"\nhosts = "127.0.0.1"\n')
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGHUP)
        gateway.until_logged('"reloaded"')
        assert echoscu(gateway.dicom_port, calling="NEW")


def test_opening_up_is_a_written_setting_and_leaves_nodes_their_limits(tmp_path: Path) -> None:
    with guarded(tmp_path, listener='accept = "any"') as gateway:
        assert echoscu(gateway.dicom_port, calling="STRANGER")
        (item,) = [parcel(ct(rows=16, columns=16), fallback_uid="1.2.3")]
        assert send([item], gateway.dicom_port, calling="STRANGER") == [0]
        assert offered(gateway.dicom_port, "WATCH", VERIFICATION, CT) == ({VERIFICATION}, {(CT, 3)})


# -- user identity negotiation, PS3.7 D.3.3.7


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """It asks everybody for a name and a password."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "users").touch(mode=0o600)
    (folder / "users").write_text(f"# who may send\n{users.line('ct room', 'geheim-ß'.encode())}\n")
    extra = '[limits]\nfree_bytes_min = 0\n[users]\nfile = "users"\nrequired = true\n'
    with guarded(folder, extra=extra, listener='accept = "any"') as running:
        yield running


def store_as(gateway: RunningGateway, folder: Path, *options: str) -> str:
    """What storescu says; raises PeerError when it is refused."""
    (folder / "ct.dcm").write_bytes(ct(rows=16, columns=16))
    return storescu(gateway.dicom_port, [folder / "ct.dcm"], options=options)


def test_the_right_password_lets_in_and_is_confirmed_where_that_is_asked_for(
    asking: RunningGateway, tmp_path: Path
) -> None:
    store_as(asking, tmp_path, "-usr", "ct room", "-pwd", "geheim-ß")
    store_as(asking, tmp_path, "-usr", "ct room", "-pwd", "geheim-ß", "-rsp")
    asking.until_logged('"user": "ct room"')
    assert "geheim" not in asking.log


@pytest.mark.parametrize(
    "options",
    [
        ("-usr", "ct room", "-pwd", "wrong"),
        ("-usr", "ct room", "-epw"),
        ("-usr", "nobody", "-pwd", "geheim-ß"),
        ("-usr", "ct room"),  # a name alone proves nothing
        (),
    ],
)
def test_without_the_right_password_nobody_comes_in(
    asking: RunningGateway, tmp_path: Path, options: tuple[str, ...]
) -> None:
    before, lines = (
        asking.metric("sealgate_associations_refused_total", reason="user"),
        refused_lines(asking, "user"),
    )
    with pytest.raises(PeerError):
        store_as(asking, tmp_path, *options)
    asking.until_metric("sealgate_associations_refused_total", before + 1, reason="user")
    wait_for(lambda: len(refused_lines(asking, "user")) > len(lines), what="the line in the log")
    assert refused_lines(asking, "user")[-1]["hint"]


def test_a_users_file_that_others_may_read_lets_nobody_in(asking: RunningGateway, tmp_path: Path) -> None:
    (asking.folder / "users").chmod(0o644)
    with pytest.raises(PeerError):
        store_as(asking, tmp_path, "-usr", "ct room", "-pwd", "geheim-ß")
    (asking.folder / "users").chmod(0o600)
    wait_for(
        lambda: any("chmod 600" in line["hint"] for line in refused_lines(asking, "user")), what="the hint"
    )
    store_as(asking, tmp_path, "-usr", "ct room", "-pwd", "geheim-ß")


def test_where_identities_are_optional_only_wrong_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "users").touch(mode=0o600)
    (tmp_path / "users").write_text(users.line("ct", b"right"))
    extra = '[limits]\nfree_bytes_min = 0\n[users]\nfile = "users"\n'
    with guarded(tmp_path, extra=extra, listener='accept = "any"') as gateway:
        assert echoscu(gateway.dicom_port)
        store_as(gateway, tmp_path, "-usr", "ct")
        store_as(gateway, tmp_path, "-usr", "ct", "-pwd", "right")
        with pytest.raises(PeerError):
            store_as(gateway, tmp_path, "-usr", "ct", "-pwd", "left")


def test_strangers_leave_room_for_the_configured_nodes(tmp_path: Path) -> None:
    limits = "[limits]\nassociations = 4\nassociations_per_peer = 4\n"
    node = '[[node]]\nname = "ct"\nae_title = "CT"\nhosts = "127.0.0.1"\n'
    with RunningGateway(
        tmp_path,
        nodes=[DemoDestination(name="pacs", ae_title="PACS", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
        extra=limits + node,
    ) as gateway:
        request = pdus.associate_rq([(1, pdus.VERIFICATION, [pdus.IMPLICIT])], calling="STRANGER")
        kinds = []
        with ExitStack() as stack:
            for _ in range(4):
                wire = stack.enter_context(pdus.Wire(gateway.dicom_port, source="127.0.0.2"))
                wire.send(request)
                kinds.append(wire.receive()[0])
            assert kinds == [pdus.ASSOCIATE_AC] * 2 + [pdus.ASSOCIATE_RJ] * 2
            pdus.echo(gateway.dicom_port, calling="CT")
