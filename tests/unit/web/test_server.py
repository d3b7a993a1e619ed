"""The HTTP server on real sockets: TLS, deadlines, and how many connections it accepts at once."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from gateway.config.http import HttpSettings
from gateway.config.tls import TlsIdentity
from gateway.errors import KeyFileError
from gateway.seal.findings import Report
from gateway.web import server
from tests.support.certificates import Authority, Issued
from tests.support.gateway import wait_for
from tests.support.web import audit_lines, backend, bearer, report_of, serving, token

READER = token("reader", "read", "verify", "extract")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("gateway")


def trusting(authority: Authority, client: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


def test_over_tls_a_token_opens_and_plain_http_gets_nothing(
    authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    tls = TlsIdentity(certificate=issued.certificate, key=issued.key)
    with serving(HttpSettings(port=0, tls=tls, token=(READER,)), backend(tmp_path)) as url:
        answer = httpx.post(
            f"{url}/api/v1/verify", content=b"12", headers=bearer("read"), verify=trusting(authority)
        )
        assert answer.json()["level"] == "2"
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http") + "/healthz")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz")


@pytest.mark.parametrize(("option", "agreed"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_nothing_older_than_tls_1_2_is_agreed(
    issued: Issued, tmp_path: Path, option: str, agreed: bool
) -> None:
    tls = TlsIdentity(certificate=issued.certificate, key=issued.key)
    with serving(HttpSettings(port=0, tls=tls), backend(tmp_path)) as url:
        command = [
            "openssl",
            "s_client",
            option,
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            url.removeprefix("https://"),
        ]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    assert (b"Cipher is (NONE)" not in done.stdout) == agreed


def test_with_an_authority_of_callers_a_token_alone_is_not_enough(
    authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    tls = TlsIdentity(certificate=issued.certificate, key=issued.key, ca=authority.certificate)
    with serving(HttpSettings(port=0, tls=tls, token=(READER,)), backend(tmp_path)) as url:
        known = trusting(authority, authority.issue("client"))
        strange = trusting(authority, Authority(tmp_path / "strange", "strange authority").issue("stranger"))
        for context in (trusting(authority), strange):
            with pytest.raises(httpx.HTTPError):
                httpx.post(f"{url}/api/v1/verify", content=b"12", headers=bearer("read"), verify=context)
        assert httpx.get(f"{url}/healthz", verify=known).status_code == 200
        refused = httpx.post(f"{url}/api/v1/verify", content=b"12", verify=known)
        assert refused.status_code == 401


def test_a_key_open_to_others_is_refused_at_start(authority: Authority, tmp_path: Path) -> None:
    loose = authority.issue("loose")
    loose.key.chmod(0o640)
    tls = TlsIdentity(certificate=loose.certificate, key=loose.key)
    with (
        pytest.raises(KeyFileError, match="open to"),
        serving(HttpSettings(port=0, tls=tls), backend(tmp_path)),
    ):
        pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The port of a server that waits half a second for a request, and needs longer to verify an object."""
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.5)

    def verify(data: bytes) -> Report:
        time.sleep(0.8)
        return report_of(data)

    with serving(HttpSettings(port=0, request_timeout_s=0.5), backend(tmp_path, verify=verify)) as url:
        yield int(url.rpartition(":")[2])


def _closed_after(connection: socket.socket, *, drops: bytes = b"") -> float:
    """Seconds until the other side closes. Meanwhile each byte of `drops` is sent after a pause."""
    started = time.monotonic()
    connection.settimeout(0.1)
    waiting = list(drops)
    while time.monotonic() - started < 10:
        try:
            if waiting:
                connection.sendall(bytes([waiting.pop(0)]))
            if connection.recv(4096) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def test_silent_and_dripping_connections_are_closed(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient)) as silent:
        assert _closed_after(silent) < 3
    with socket.create_connection(("127.0.0.1", impatient)) as dripping:
        assert _closed_after(dripping, drops=b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200) < 3


def test_a_connection_that_drips_after_a_long_answer_is_closed(impatient: int) -> None:
    """The first deadline passed while the gateway was at work. After the answer there is another one."""
    with socket.create_connection(("127.0.0.1", impatient), timeout=10) as connection:
        connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert _closed_after(connection, drops=b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200) < 3


def test_a_body_that_stalls_is_answered_and_frees_its_place(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient), timeout=5) as connection:
        connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_more_than_is_allowed_at_once_is_told_to_come_again(tmp_path: Path) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(data: bytes) -> Report:
        entered.release()
        leave.wait(20)
        return report_of(data)

    with serving(HttpSettings(port=0, concurrent=2), backend(tmp_path, verify=slow)) as url:

        def post() -> int:
            return httpx.post(f"{url}/api/v1/verify", content=b"x", timeout=30).status_code

        codes: list[int] = []
        threads = [threading.Thread(target=lambda: codes.append(post())) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert entered.acquire(timeout=10)
        refused = httpx.post(f"{url}/api/v1/verify", content=b"x")
        assert (refused.status_code, refused.json()["error"], refused.headers["retry-after"]) == (
            503,
            "busy",
            "1",
        )
        assert httpx.get(f"{url}/healthz").status_code == 200
        leave.set()
        for thread in threads:
            thread.join()
        assert codes == [200, 200]
        assert post() == 200


def test_callers_do_not_choose_the_address_that_is_written_down(tmp_path: Path) -> None:
    with serving(HttpSettings(port=0, token=(READER,)), backend(tmp_path)) as url:
        httpx.post(f"{url}/api/v1/extract", content=b"x", headers={"X-Forwarded-For": "10.9.9.9"})
    assert [line["address"] for line in audit_lines(tmp_path)] == ["127.0.0.1"]


def test_a_flood_of_silent_connections_takes_no_more_than_its_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, issued: Issued, authority: Authority
) -> None:
    """None of the connections begins the TLS handshake. Descriptors stay free, and another address is served."""
    monkeypatch.setattr(server, "OPEN_PER_ADDRESS_MAX", 20)
    tls = TlsIdentity(certificate=issued.certificate, key=issued.key)
    with serving(HttpSettings(port=0, tls=tls), backend(tmp_path)) as url, ExitStack() as open_ones:
        port = int(url.rpartition(":")[2])
        assert httpx.get(f"{url}/healthz", verify=trusting(authority)).status_code == 200
        before = len(list(Path("/proc/self/fd").iterdir()))
        flood = [
            open_ones.enter_context(
                socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
            )
            for _ in range(60)
        ]
        started = time.monotonic()
        answer = httpx.get(f"{url}/healthz", verify=trusting(authority))
        assert (answer.status_code, time.monotonic() - started < 5) == (200, True)
        refused = sum(_closed_after(connection) < 1 for connection in flood[20:])
        assert refused == 40
        held = len(list(Path("/proc/self/fd").iterdir())) - before - len(flood)
        assert held < 30  # 20, and what the honest request may still hold
        open_ones.close()
        wait_for(lambda: _answers(url, trusting(authority), "127.0.0.2"), what="room after the flood")


def _answers(url: str, context: ssl.SSLContext, source: str) -> bool:
    with httpx.Client(transport=httpx.HTTPTransport(verify=context, local_address=source)) as client:
        try:
            return client.get(f"{url}/healthz").status_code == 200
        except httpx.HTTPError:
            return False


def test_callers_who_go_away_leave_no_trace_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(HttpSettings(port=0, concurrent=1), backend(tmp_path)) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
            connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        wait_for(
            lambda: httpx.post(f"{url}/api/v1/verify", content=b"x").status_code == 200,
            what="the place is free",
        )
    assert "Traceback" not in capfd.readouterr().err
