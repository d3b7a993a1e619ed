"""Time stamps over HTTP: a real authority (openssl ts) on 127.0.0.1, and those that are down, slow or lying."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from gateway.commands.demo.process import free_port
from gateway.errors import TimeStampFailed
from gateway.keys import CertificateTrust, TimeStampQuery, load_certificates, read_stamp
from gateway.work.time_stamping import ANSWER_BYTES_MAX, TimeStamper
from tests.support.time_stamp_authority import (
    Handling,
    SigningAuthority,
    TimeStampAuthority,
    http_server,
    replying,
)

SIGNATURE = bytes(range(256))
# Nothing on this machine takes so long; a test that waits for it fails by its time limit.
LONG_S = 60.0
SHORT_S = 0.3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SigningAuthority:
    return SigningAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stamping(tmp_path_factory: pytest.TempPathFactory, authority: SigningAuthority) -> TimeStampAuthority:
    return TimeStampAuthority(tmp_path_factory.mktemp("tsa"), authority.stamper())


@pytest.fixture(scope="module")
def trust(authority: SigningAuthority) -> CertificateTrust:
    return CertificateTrust(load_certificates(authority.certificate))


@contextmanager
def asking(
    handle: Handling,
    trust: CertificateTrust,
    *,
    timeout_s: float = LONG_S,
    required: bool = True,
    clock: Callable[[], float] = lambda: 0.0,
) -> Iterator[TimeStamper]:
    with http_server(handle) as url:
        yield TimeStamper(url, trust, timeout_s, required, clock)


def test_a_stamp_is_fetched_checked_and_read_again(
    stamping: TimeStampAuthority, trust: CertificateTrust
) -> None:
    with asking(replying(stamping.answer), trust) as stamper:
        token = stamper(SIGNATURE)
    stamp = read_stamp(token, SIGNATURE, trust)
    assert stamp is not None
    assert (stamp.token, stamp.believed, stamper.problem) == (token, True, "")
    assert read_stamp(token + b"\0", SIGNATURE, trust) == stamp
    assert read_stamp(token, SIGNATURE + b"\0", trust) is None


def test_openssl_verifies_the_token_that_we_keep(
    stamping: TimeStampAuthority, trust: CertificateTrust, authority: SigningAuthority, tmp_path: Path
) -> None:
    with asking(replying(stamping.answer), trust) as stamper:
        (tmp_path / "token").write_bytes(stamper(SIGNATURE))
    (tmp_path / "data").write_bytes(SIGNATURE)
    command = [
        "openssl", "ts", "-verify", "-token_in", "-in", str(tmp_path / "token"),
        "-data", str(tmp_path / "data"), "-CAfile", str(authority.certificate),
    ]  # fmt: skip
    assert "Verification: OK" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (lambda honest, _: honest(TimeStampQuery.about(b"other").encoded), "nonce"),
        (lambda honest, query: honest(query)[:-40], "no time stamp"),
        (lambda _, __: b"<html>please log in</html>", "no time stamp"),
        (lambda _, __: b"", "no time stamp"),
        (lambda _, __: bytes.fromhex("30053003020102"), "refused"),
        (lambda _, __: bytes(ANSWER_BYTES_MAX + 1), "too long"),
    ],
    ids=["another question", "cut off", "a web page", "nothing", "refusal", "too long"],
)
def test_what_is_no_answer_to_our_question_is_refused(
    stamping: TimeStampAuthority,
    trust: CertificateTrust,
    lie: Callable[[Callable[[bytes], bytes], bytes], bytes],
    told: str,
) -> None:
    handle = replying(lambda query: lie(stamping.answer, query))
    with asking(handle, trust) as stamper, pytest.raises(TimeStampFailed, match=told):
        stamper(SIGNATURE)


def test_a_stamp_over_another_imprint_with_our_nonce_is_refused(
    stamping: TimeStampAuthority, trust: CertificateTrust
) -> None:
    query = TimeStampQuery.about(SIGNATURE)
    answer = stamping.answer(query.encoded)
    other = TimeStampQuery(b"something else", query.request)
    assert query.stamp_in(answer, trust).believed
    with pytest.raises(TimeStampFailed, match="something else"):
        other.stamp_in(answer, trust)


def test_a_stamp_of_an_authority_that_is_not_trusted_is_refused(
    tmp_path: Path, trust: CertificateTrust
) -> None:
    stranger = SigningAuthority(tmp_path / "stranger")
    stamping = TimeStampAuthority(tmp_path / "tsa", stranger.stamper())
    with (
        asking(replying(stamping.answer), trust) as stamper,
        pytest.raises(TimeStampFailed, match="does not know"),
    ):
        stamper(SIGNATURE)


def test_who_only_may_sign_makes_no_time_stamps(
    tmp_path: Path, stamping: TimeStampAuthority, authority: SigningAuthority, trust: CertificateTrust
) -> None:
    """The gateway's own certificate is of the same authority: it must not be able to stamp itself."""
    with asking(replying(stamping.answer), trust) as stamper:
        (tmp_path / "token").write_bytes(stamper(SIGNATURE))
    info, forged = tmp_path / "info", tmp_path / "forged"
    _openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", tmp_path / "token", "-out", info)
    for pair, believed in ((authority.stamper("another"), True), (authority.signer("gateway"), False)):
        _openssl(
            "cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER",
            "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", pair.certificate, "-inkey", pair.key,
            "-in", info, "-out", forged,
        )  # fmt: skip
        stamp = read_stamp(forged.read_bytes(), SIGNATURE, trust)
        assert stamp is not None
        assert stamp.believed is believed


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_http_status_that_is_not_200_is_told(trust: CertificateTrust, status: int) -> None:
    with (
        asking(replying(lambda _: b"", status=status), trust) as stamper,
        pytest.raises(TimeStampFailed, match=str(status)),
    ):
        stamper(SIGNATURE)


def test_nobody_at_the_address_is_told_at_once(trust: CertificateTrust) -> None:
    stamper = TimeStamper(f"http://127.0.0.1:{free_port()}/", trust, LONG_S, True)
    with pytest.raises(TimeStampFailed, match="refused"):
        stamper(SIGNATURE)


def test_an_authority_that_hangs_costs_no_more_than_the_deadline(trust: CertificateTrust) -> None:
    released = threading.Event()

    def hang(_: BaseHTTPRequestHandler, __: bytes) -> None:
        released.wait()

    with asking(hang, trust, timeout_s=SHORT_S) as stamper:
        with pytest.raises(TimeStampFailed, match="no answer within"):
            stamper(SIGNATURE)
        released.set()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_authority_that_drips_bytes_costs_no_more_than_the_deadline(
    trust: CertificateTrust, part: str
) -> None:
    released, written = threading.Event(), threading.Event()

    def drip(request: BaseHTTPRequestHandler, _: bytes) -> None:
        if part == "body":
            request.send_response(200)
            request.end_headers()
        else:
            request.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        # Well within the timeout of one read, for ever.
        while not released.wait(SHORT_S / 10):
            try:
                request.wfile.write(b"a")
            except OSError:
                written.set()
                return

    with asking(drip, trust, timeout_s=SHORT_S) as stamper:
        with pytest.raises(TimeStampFailed, match=r"no answer within|too slow"):
            stamper(SIGNATURE)
        # Our side hangs up; nobody waits there for ever.
        written.wait()
        released.set()


def test_after_a_failure_nobody_waits_for_the_same_authority_again(
    stamping: TimeStampAuthority, trust: CertificateTrust
) -> None:
    now, answers = [1000.0], [False]

    def sometimes(query: bytes) -> bytes:
        return stamping.answer(query) if answers[0] else b""

    before = stamping.asked
    with asking(replying(sometimes), trust, required=False, clock=lambda: now[0]) as stamper:
        assert stamper(SIGNATURE) == b""
        answers[0] = True
        assert stamper(SIGNATURE) == b""
        assert "not asked again yet" in stamper.problem
        assert stamping.asked == before
        now[0] += 5.0
        assert stamper(SIGNATURE) != b""
        assert stamper.problem == ""


def test_the_pause_grows_and_ends_with_the_first_stamp(
    stamping: TimeStampAuthority, trust: CertificateTrust
) -> None:
    now, answers, asked = [0.0], [False], [0]

    def counted(query: bytes) -> bytes:
        asked[0] += 1
        return stamping.answer(query) if answers[0] else b""

    with asking(replying(counted), trust, required=False, clock=lambda: now[0]) as stamper:
        for failures in range(1, 5):
            stamper(SIGNATURE)
            assert asked[0] == failures
            # Half of the delay is always waited for (runtime.backoff).
            now[0] += 5.0 * 2 ** (failures - 1) / 2 - 0.1
            stamper(SIGNATURE)
            assert asked[0] == failures
            now[0] += 5.0 * 2 ** (failures - 1)
        answers[0] = True
        assert stamper(SIGNATURE)
        assert stamper(SIGNATURE)


def test_a_stamp_that_is_not_required_may_be_missing_and_one_that_is_may_not(trust: CertificateTrust) -> None:
    with asking(replying(lambda _: b""), trust, required=False) as stamper:
        assert stamper(SIGNATURE) == b""
        assert stamper.problem
    with asking(replying(lambda _: b""), trust) as stamper, pytest.raises(TimeStampFailed) as failure:
        stamper(SIGNATURE)
    assert failure.value.retry


def test_only_a_digest_leaves_the_house(stamping: TimeStampAuthority, trust: CertificateTrust) -> None:
    asked: list[bytes] = []

    def remember(query: bytes) -> bytes:
        asked.append(query)
        return stamping.answer(query)

    with asking(replying(remember), trust) as stamper:
        stamper(SIGNATURE)
        stamper(SIGNATURE)
    assert all(len(query) < 100 and SIGNATURE[:16] not in query for query in asked)
    # With a nonce of its own each.
    assert asked[0] != asked[1]
