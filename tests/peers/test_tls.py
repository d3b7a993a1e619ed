"""DICOM TLS in both directions: DCMTK and OpenSSL as peers, certificates made here."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from gateway.commands.demo import dcmtk
from gateway.commands.demo.process import (
    PEER_ENVIRONMENT,
    Process,
    free_port,
    program,
)
from gateway.config import Destination, Limits
from gateway.dicom.uids import VERIFICATION
from gateway.dimse.requestor import Requestor
from gateway.errors import PeerUnreachable
from tests.cli.terminal import sealgate
from tests.support.certificates import Authority, Issued
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series

HANG_S = 120.0
LIMITS = """
[limits]
acse_timeout_s = 5
free_bytes_min = 0
[queue]
backoff_s = 0.2
backoff_max_s = 1
"""


@dataclass
class Secured:
    gateway: RunningGateway
    authority: Authority
    own: Issued
    modality: Issued
    port: int


def secured(folder: Path, *, extra: str = "", plain: bool = False, days: float = 10) -> Secured:
    """A gateway (not started) with a TLS port that asks for certificates of its authority."""
    authority = Authority(folder / "ca")
    own, modality = authority.issue("gateway", days=days), authority.issue("modality")
    port = free_port()
    table = (
        f'[tls]\nport = {port}\ncertificate = "{own.certificate}"\nkey = "{own.key}"\n'
        f'ca = "{authority.certificate}"\nplain = {str(plain).lower()}\n'
    )
    gateway = RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="ORTHANC", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
        extra=LIMITS + table + extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )
    return Secured(gateway, authority, own, modality, port)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    prepared = secured(tmp_path_factory.mktemp("gateway"))
    with prepared.gateway:
        yield prepared


def options(shown: Issued, authority: Authority) -> list[str]:
    """Of DCMTK's programs."""
    return ["+tls", str(shown.key), str(shown.certificate), "+cf", str(authority.certificate)]


def echo(port: int, shown: Issued, authority: Authority, *, calling: str = "MODALITY") -> bool:
    arguments = [*options(shown, authority), "-aet", calling, "-aec", "SEALGATE", "127.0.0.1", str(port)]
    return dcmtk.run("echoscu", arguments).returncode == 0


def handshake(port: int, tls: Secured, *arguments: str) -> str:
    """What `openssl s_client` says of a handshake that shows the modality's certificate."""
    shown = ["-cert", str(tls.modality.certificate), "-key", str(tls.modality.key)]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *shown, *arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=HANG_S, check=False)
    return done.stdout + done.stderr


def associate(port: int, tls: Secured) -> tuple[Association, bytes]:
    """An association, and the certificate that the gateway shows."""
    context = ssl.create_default_context(cafile=str(tls.authority.certificate))
    context.load_cert_chain(tls.modality.certificate, tls.modality.key)
    association = AE().associate(
        "127.0.0.1",
        port,
        [build_context(VERIFICATION)],
        ae_title="SEALGATE",
        tls_args=(context, "localhost"),
    )
    connection = association.dul.socket
    assert connection is not None and isinstance(connection.socket, ssl.SSLSocket)
    return association, connection.socket.getpeercert(binary_form=True) or b""


def lines(gateway: RunningGateway, **values: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [line for line in found if all(line.get(key) == value for key, value in values.items())]


# -- as SCP


def test_dcmtk_echoes_and_stores_over_tls(tls: Secured, tmp_path: Path) -> None:
    assert echo(tls.port, tls.modality, tls.authority)
    files = []
    for number, data in enumerate(series(3, size=256)):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(data)
    dcmtk.storescu(tls.port, files, options=options(tls.modality, tls.authority))
    wait_for(lambda: bool(lines(tls.gateway, event="association", outcome="released")), what="its line")
    assert {line["tls"] for line in lines(tls.gateway, event="association")} == {"TLSv1.3"}
    assert tls.gateway.metric("sealgate_received_total") == 3


def test_the_plain_port_is_closed_where_it_is_switched_off(tls: Secured) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", tls.gateway.dicom_port), timeout=HANG_S)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-tls1_3",),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_the_versions_and_suites_of_bcp_195_are_spoken(tls: Secured, arguments: tuple[str, ...]) -> None:
    assert "Cipher is (NONE)" not in handshake(tls.port, tls, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256"),  # no forward secrecy
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"),  # CBC
        ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"),
    ],
)
def test_older_versions_and_other_suites_are_refused(tls: Secured, arguments: tuple[str, ...]) -> None:
    before = tls.gateway.metric("sealgate_associations_refused_total", reason="tls")
    assert "Cipher is (NONE)" in handshake(tls.port, tls, *arguments)
    wait_for(
        lambda: tls.gateway.metric("sealgate_associations_refused_total", reason="tls") == before + 1,
        what="the count",
    )


def test_a_peer_without_a_certificate_is_refused_and_the_log_says_so(tls: Secured) -> None:
    context = ssl.create_default_context(cafile=str(tls.authority.certificate))
    with (
        socket.create_connection(("127.0.0.1", tls.port), timeout=HANG_S) as raw,
        pytest.raises(OSError),
        context.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        secure.recv(1)
    wait_for(
        lambda: any("It shows no certificate" in line["hint"] for line in lines(tls.gateway, code="tls")),
        what="the hint",
    )


def test_a_certificate_of_another_authority_is_refused(tls: Secured, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "another authority").issue("stranger")
    assert not echo(tls.port, stranger, tls.authority)
    wait_for(
        lambda: any("not signed by tls.ca" in line["hint"] for line in lines(tls.gateway, code="tls")),
        what="the hint",
    )


def test_plain_dicom_on_the_tls_port_is_told_apart(tls: Secured) -> None:
    assert not dcmtk.echoscu(tls.port)
    wait_for(
        lambda: any("does not speak TLS" in line["hint"] for line in lines(tls.gateway, code="tls")),
        what="the hint",
    )


def silent_clients(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Every second one begins a handshake and stops in the middle of its ClientHello."""
    silent = [
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=HANG_S))
        for _ in range(count)
    ]
    for connection in silent[::2]:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
    return silent


def test_silent_clients_on_the_tls_port_keep_nobody_waiting(tmp_path: Path) -> None:
    """No time-out has ended any of them when another is answered."""
    prepared = secured(tmp_path)
    prepared.gateway.environment["SEALGATE_LIMITS__ACSE_TIMEOUT_S"] = "600"
    with prepared.gateway, ExitStack() as stack:
        silent = silent_clients(prepared.port, 60, stack)
        association, _ = associate(prepared.port, prepared)
        assert association.is_established
        assert association.send_c_echo().Status == 0
        association.release()
        for connection in silent:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is still there
                connection.recv(1)


def test_each_silent_client_is_let_go_at_the_deadline_of_its_handshake(tls: Secured) -> None:
    alert = b"\x15\x03\x03\x00\x02\x02\x50"
    with ExitStack() as stack:
        for connection in silent_clients(tls.port, 10, stack):
            assert connection.recv(100) in (b"", alert) or connection.recv(100) == b""


def test_a_pinned_node_is_known_by_its_certificate_only(tmp_path: Path) -> None:
    prepared = secured(tmp_path, plain=True)
    prepared.gateway.listener = ""
    prepared.gateway.extra += (
        f'[[node]]\nname = "ct"\nae_title = "CT1"\nhosts = "127.0.0.1"\n'
        f'tls_fingerprint = "{prepared.modality.fingerprint}"\n'
    )
    other = prepared.authority.issue("other")
    with prepared.gateway as gateway:
        assert echo(prepared.port, prepared.modality, prepared.authority, calling="CT1")
        assert not echo(prepared.port, other, prepared.authority, calling="CT1")
        assert not dcmtk.echoscu(gateway.dicom_port, calling="CT1")
        gateway.until_metric("sealgate_associations_refused_total", 2, reason="certificate")


def test_renewed_certificates_are_shown_after_a_reload_and_open_associations_stay(tmp_path: Path) -> None:
    prepared = secured(tmp_path, days=2)
    with prepared.gateway as gateway:
        assert (
            86400 < gateway.metric("sealgate_certificate_expiry_seconds", certificate="listener") < 2 * 86400
        )
        held, first = associate(prepared.port, prepared)
        prepared.authority.issue("gateway", days=20)  # the same file names
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(lines(gateway, event="reloaded")), what="the reload")
        assert held.send_c_echo().Status == 0
        fresh, second = associate(prepared.port, prepared)
        assert fresh.send_c_echo().Status == 0
        assert first != second
        assert gateway.metric("sealgate_certificate_expiry_seconds", certificate="listener") > 19 * 86400
        prepared.own.key.write_text("damaged")
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(lines(gateway, event="not reloaded", code="key-file")), what="the complaint")
        assert echo(prepared.port, prepared.modality, prepared.authority)
        for association in (held, fresh):
            association.release()


def test_check_tells_how_long_certificates_are_valid_and_which_files_are_wrong(tmp_path: Path) -> None:
    prepared = secured(tmp_path, days=-1)
    prepared.gateway.prepare()
    command = ["check", "--json", "--config", str(prepared.gateway.config)]
    done = sealgate(command, tmp_path)
    line = json.loads(done.stdout)
    assert (done.returncode, line["ok"], line["reason"]) == (3, False, "expired")
    assert (line["certificate"], line["sha256"]) == ("listener", prepared.own.fingerprint)
    prepared.own.key.chmod(0o640)
    done = sealgate(command, tmp_path)
    assert done.returncode == 2
    assert f"chmod 600 {prepared.own.key}" in done.stderr


# -- as SCU


class SecureStorescp:
    """DCMTK's storescp that speaks TLS only and asks for certificates of `authority`."""

    def __init__(self, folder: Path, authority: Authority, shown: Issued) -> None:
        self.received = folder / "received"
        self.received.mkdir(parents=True)
        self.port = free_port()
        arguments = [*options(shown, authority), "-aet", "VIEWER", "-od", str(self.received), "+xa", "+B"]
        command = [str(program("storescp", "dcmtk")), *arguments, str(self.port)]
        self._process = Process(command, log=folder / "storescp.log", environment=PEER_ENVIRONMENT)

    def __enter__(self) -> SecureStorescp:
        self._process.start()
        self._process.wait_until(lambda: _listens(self.port), what="storescp")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=HANG_S).close()
    except OSError:
        return False
    return True


def sending(folder: Path, port: int, tls: str) -> RunningGateway:
    return RunningGateway(
        folder,
        nodes=[
            DemoDestination(name="pacs", ae_title="VIEWER", port=port, extra=f"associations = 1\ntls = {tls}")
        ],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
        extra=LIMITS,
        dicom_port=free_port(),
        http_port=free_port(),
    )


@pytest.fixture(scope="module")
def viewer(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SecureStorescp, Authority, Issued, Issued]]:
    """The PACS, its authority, what it shows, and what the gateway shows."""
    folder = tmp_path_factory.mktemp("viewer")
    authority = Authority(folder / "ca")
    shown, ours = authority.issue("viewer", host="viewer.example", address="127.0.0.2"), authority.issue("us")
    with SecureStorescp(folder, authority, shown) as peer:
        yield peer, authority, shown, ours


@pytest.mark.parametrize("proof", ["authority and name", "fingerprint"])
def test_objects_are_delivered_over_tls_byte_for_byte(
    viewer: tuple[SecureStorescp, Authority, Issued, Issued], tmp_path: Path, proof: str
) -> None:
    peer, authority, shown, ours = viewer
    believed = f'ca = "{authority.certificate}", server_name = "viewer.example"'
    if proof == "fingerprint":
        believed = f'fingerprint = "{shown.fingerprint}"'
    table = f'{{ certificate = "{ours.certificate}", key = "{ours.key}", {believed} }}'
    parcels = [parcel(data, fallback_uid="1.2.3") for data in series(4, size=512, seed=len(proof))]
    before = len(list(peer.received.iterdir()))
    with sending(tmp_path, peer.port, table) as gateway:
        assert send(parcels, gateway.dicom_port) == [0] * 4
        wait_for(lambda: gateway.metric("sealgate_forwarded_total", destination="pacs") == 4, what="delivery")
    arrived = [path.read_bytes() for path in peer.received.iterdir()]
    assert len(arrived) == before + 4
    assert all(any(file.endswith(item.dataset) for file in arrived) for item in parcels)


@pytest.mark.parametrize(
    ("believed", "why"),
    [
        ('ca = "{ca}"', "IP address mismatch, certificate is not valid for '127.0.0.1'."),
        (
            'ca = "{ca}", server_name = "other.example"',
            "Hostname mismatch, certificate is not valid for 'other.example'.",
        ),
        ('fingerprint = "{other}"', "it shows a certificate with the fingerprint {shown}"),
        (
            'ca = "{ca}", server_name = "viewer.example", fingerprint = "{other}"',
            "it shows a certificate with the fingerprint {shown}",
        ),
        ('server_name = "viewer.example"', "self-signed certificate in certificate chain"),
    ],
)
def test_what_does_not_prove_itself_gets_nothing_and_the_reason_is_told(
    viewer: tuple[SecureStorescp, Authority, Issued, Issued], believed: str, why: str
) -> None:
    peer, authority, shown, ours = viewer
    words = {"ca": authority.certificate, "other": ours.fingerprint, "shown": shown.fingerprint}
    table = f'{{ certificate = "{ours.certificate}", key = "{ours.key}", {believed.format(**words)} }}'
    row = f'name = "pacs"\nae_title = "VIEWER"\nhost = "127.0.0.1"\nport = {peer.port}\ntls = {table}'
    requestor = Requestor(Destination.model_validate(tomllib.loads(row)), Limits(), calling="SEALGATE")
    with pytest.raises(PeerUnreachable) as caught:
        requestor.echo()
    assert f"TLS handshake failed: {why.format(**words)}" in str(caught.value)
    assert "destination.tls" in caught.value.hint
