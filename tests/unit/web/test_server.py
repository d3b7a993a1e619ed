"""The HTTP server on real sockets: TLS, deadlines, and how many connections it accepts at once."""

from __future__ import annotations

import itertools
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from gateway.config.http import HttpSettings
from gateway.config.tls import TlsIdentity
from gateway.errors import KeyFileError
from gateway.seal.findings import Report
from gateway.web import bodies, server
from tests.support.certificates import Authority, Issued
from tests.support.gateway import wait_for
from tests.support.web import audit_lines, backend, bearer, report_of, serving, token

HANG_S = 120.0
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
            f"{url}/api/v1/verify",
            content=b"12",
            headers=bearer("read"),
            verify=trusting(authority),
            timeout=HANG_S,
        )
        assert answer.json()["level"] == "2"
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http") + "/healthz", timeout=HANG_S)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz", timeout=HANG_S)


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
        done = subprocess.run(command, input=b"", capture_output=True, timeout=HANG_S, check=False)
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
                httpx.post(
                    f"{url}/api/v1/verify",
                    content=b"12",
                    headers=bearer("read"),
                    verify=context,
                    timeout=HANG_S,
                )
        assert httpx.get(f"{url}/healthz", verify=known, timeout=HANG_S).status_code == 200
        refused = httpx.post(f"{url}/api/v1/verify", content=b"12", verify=known, timeout=HANG_S)
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
    """The port of a server that waits 1.5 seconds for a request, and needs longer to verify an object."""
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 1.5)

    def verify(data: bytes) -> Report:
        time.sleep(2)
        return report_of(data)

    with serving(HttpSettings(port=0, request_timeout_s=1.5), backend(tmp_path, verify=verify)) as url:
        yield int(url.rpartition(":")[2])


def _is_closed(connection: socket.socket, *, drops: Iterable[int] = ()) -> bool:
    """Whether the other side closes before `drops` end, of which each is sent after a pause; without any, ever."""
    deadline = time.monotonic() + HANG_S
    connection.settimeout(0.1)
    waiting, dripping = iter(drops), bool(drops)
    while time.monotonic() < deadline:
        try:
            if dripping:
                connection.sendall(bytes([next(waiting)]))
            if connection.recv(4096) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def _endless_head() -> Iterable[int]:
    return itertools.chain(b"GET /healthz HTTP/1.1\r\nX: ", itertools.repeat(ord("y")))


def test_silent_and_dripping_connections_are_closed(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient)) as silent:
        assert _is_closed(silent)
    with socket.create_connection(("127.0.0.1", impatient)) as dripping:
        assert _is_closed(dripping, drops=_endless_head())


def test_a_connection_that_drips_after_a_long_answer_is_closed(impatient: int) -> None:
    """The first deadline passed while the gateway was at work. After the answer there is another one."""
    with socket.create_connection(("127.0.0.1", impatient), timeout=HANG_S) as connection:
        connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert _is_closed(connection, drops=_endless_head())


def test_a_body_that_stalls_is_answered_and_frees_its_place(impatient: int) -> None:
    with socket.create_connection(("127.0.0.1", impatient), timeout=HANG_S) as connection:
        connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_more_than_is_allowed_at_once_is_told_to_come_again(tmp_path: Path) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(data: bytes) -> Report:
        entered.release()
        leave.wait(HANG_S)
        return report_of(data)

    with serving(HttpSettings(port=0, concurrent=3), backend(tmp_path, verify=slow)) as url:
        codes: list[int] = []
        threads = [
            threading.Thread(target=lambda source=source: codes.append(post(url, source).status_code))
            for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2")
        ]
        for number, thread in enumerate(threads, 1):
            thread.start()
            assert entered.acquire(timeout=HANG_S)
            if number == 2:
                # One caller never gets all places: the third one is for somebody else.
                assert post(url, "127.0.0.1").json()["error"] == "busy"
        refused = post(url, "127.0.0.3")
        assert (refused.status_code, refused.json()["error"], refused.headers["retry-after"]) == (
            503,
            "busy",
            "1",
        )
        assert httpx.get(f"{url}/healthz", timeout=HANG_S).status_code == 200
        leave.set()
        for thread in threads:
            thread.join()
        assert codes == [200, 200, 200]
        assert post(url, "127.0.0.1").status_code == 200


def post(url: str, source: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask for a verification from this address of the machine."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=HANG_S) as client:
        return client.post(f"{url}/api/v1/verify", content=b"x", headers=headers)


def test_bodies_that_drip_hold_no_place_and_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two drips, more than there are places: others are served all the while, and the drips are answered 408."""
    monkeypatch.setattr(bodies, "WINDOW_S", 1.0)
    settings = HttpSettings(port=0, concurrent=1, body_bytes_s_min=100)
    with serving(settings, backend(tmp_path)) as url, ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        drips = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(2)]
        for drip in drips:
            drip.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        answers = [b"", b""]
        while not all(answers):
            assert post(url, "127.0.0.1").status_code == 200
            for number, drip in enumerate(drips):
                answers[number] = answers[number] or _dripped(drip)
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)


def _dripped(drip: socket.socket) -> bytes:
    """Send one byte more; what was answered so far."""
    drip.settimeout(0.05)
    try:
        drip.sendall(b"x")
        return drip.recv(4096)
    except TimeoutError:
        return b""


def test_a_body_that_comes_fast_enough_is_taken_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "WINDOW_S", 0.2)

    def in_time() -> Iterator[bytes]:
        for _ in range(8):
            yield b"x" * 100
            time.sleep(0.1)

    with serving(HttpSettings(port=0, body_bytes_s_min=1), backend(tmp_path)) as url:
        assert httpx.post(f"{url}/api/v1/verify", content=in_time(), timeout=HANG_S).json()["level"] == "800"


def test_who_is_not_admitted_is_answered_before_the_body_and_holds_nothing(tmp_path: Path) -> None:
    with (
        serving(HttpSettings(port=0, concurrent=1, token=(READER,)), backend(tmp_path)) as url,
        ExitStack() as stack,
    ):
        port = int(url.rpartition(":")[2])
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=HANG_S))
            connection.sendall(b"POST /api/v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        assert post(url, "127.0.0.1", bearer("read")).status_code == 200


def test_right_tokens_that_come_together_do_not_count_as_wrong_ones(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    settings = HttpSettings(port=0, concurrent=20, token=(READER,), wrong_tokens_per_minute=1)
    with serving(settings, backend(tmp_path)) as url:
        codes: list[int] = []

        def ask() -> None:
            together.wait(HANG_S)
            codes.append(post(url, "127.0.0.1", bearer("read")).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == [200] * 8


def test_an_answer_that_nobody_takes_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWER_WINDOW_S", 0.5)
    with (
        serving(HttpSettings(port=0), backend(tmp_path, exposition=lambda: b"x" * (32 << 20))) as url,
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=HANG_S) as connection,
    ):
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        taken = len(connection.recv(1))
        before = len(list(Path("/proc/self/fd").iterdir()))
        wait_for(lambda: len(list(Path("/proc/self/fd").iterdir())) < before, what="the other end is closed")
        with suppress(ConnectionResetError):
            while part := connection.recv(1 << 20):
                taken += len(part)
        assert taken < 32 << 20


def test_callers_do_not_choose_the_address_that_is_written_down(tmp_path: Path) -> None:
    with serving(HttpSettings(port=0, token=(READER,)), backend(tmp_path)) as url:
        httpx.post(
            f"{url}/api/v1/extract", content=b"x", headers={"X-Forwarded-For": "10.9.9.9"}, timeout=HANG_S
        )
    assert [line["address"] for line in audit_lines(tmp_path)] == ["127.0.0.1"]


def test_a_flood_of_silent_connections_takes_no_more_than_its_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, issued: Issued, authority: Authority
) -> None:
    """None of the connections begins the TLS handshake. Descriptors stay free, and another address is served."""
    monkeypatch.setattr(server, "OPEN_PER_ADDRESS_MAX", 20)
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 600.0)
    tls = TlsIdentity(certificate=issued.certificate, key=issued.key)
    with serving(HttpSettings(port=0, tls=tls), backend(tmp_path)) as url, ExitStack() as open_ones:
        port = int(url.rpartition(":")[2])
        assert httpx.get(f"{url}/healthz", verify=trusting(authority), timeout=HANG_S).status_code == 200
        before = len(list(Path("/proc/self/fd").iterdir()))
        flood = [
            open_ones.enter_context(
                socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
            )
            for _ in range(60)
        ]
        assert httpx.get(f"{url}/healthz", verify=trusting(authority), timeout=HANG_S).status_code == 200
        assert all(_is_closed(connection) for connection in flood[20:])
        assert not any(_is_closed_now(connection) for connection in flood[:20]), "no time-out has ended them"
        held = len(list(Path("/proc/self/fd").iterdir())) - before - len(flood)
        assert held < 30  # 20, and what the honest request may still hold
        open_ones.close()
        wait_for(lambda: _answers(url, trusting(authority), "127.0.0.2"), what="room after the flood")


def _is_closed_now(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


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
            lambda: httpx.post(f"{url}/api/v1/verify", content=b"x", timeout=HANG_S).status_code == 200,
            what="the place is free",
        )
    assert "Traceback" not in capfd.readouterr().err
