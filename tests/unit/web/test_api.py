"""The HTTP endpoints: what they answer, and what they refuse."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.config.http import HttpSettings, Role
from gateway.spool import LocalSpool
from gateway.spool.quarantine import Note, Quarantine
from gateway.web import admission
from gateway.web.api import application
from gateway.web.wrong_tokens import WrongTokens
from tests.support.web import audit_lines, backend, bearer, long, token


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client(tmp_path: Path) -> Callable[..., TestClient]:
    def connected(problems: list[str] | None = None, **settings: Any) -> TestClient:
        given, parts = HttpSettings(**settings), backend(tmp_path, problems=lambda: problems or [])
        return TestClient(application(lambda: given, parts), raise_server_exceptions=False)

    return connected


def test_alive_is_alive(client: Callable[..., TestClient]) -> None:
    assert client().get("/healthz").status_code == 200


def test_readiness_names_its_problems(client: Callable[..., TestClient]) -> None:
    assert client().get("/readyz").json() == {"ready": True, "problems": [], "notices": []}
    unready = client(["queue: resource"]).get("/readyz")
    assert (unready.status_code, unready.json()["problems"]) == (503, ["queue: resource"])


def test_metrics_have_the_type_that_prometheus_expects(client: Callable[..., TestClient]) -> None:
    answer = client().get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.content == b"sealgate_x 1\n"


def test_one_object_gets_one_report(client: Callable[..., TestClient]) -> None:
    answer = client().post("/api/v1/verify", content=b"x" * 10, headers={"Content-Type": "application/dicom"})
    assert answer.json() == {
        "path": "body",
        "sop_instance_uid": "1.2.3",
        "verdict": "intact",
        "level": "10",
        "checks": [],
        "header_differences": [],
        "format_version": None,
        "tampered_tiles": [],
    }


def test_several_objects_get_a_list_in_their_order(client: Callable[..., TestClient]) -> None:
    files = [("file", ("a.dcm", b"1")), ("file", ("b.dcm", b"22"))]
    reports = client().post("/api/v1/verify", files=files).json()
    assert [(report["path"], report["level"]) for report in reports] == [("a.dcm", "1"), ("b.dcm", "2")]


def test_too_much_nothing_and_no_file_are_refused(client: Callable[..., TestClient]) -> None:
    small = client(body_bytes_max=2000)
    assert small.post("/api/v1/verify", content=b"x" * 2001).status_code == 413
    assert small.post("/api/v1/verify", content=b"").status_code == 400
    files = {"field": (None, "text")}
    assert small.post("/api/v1/verify", files=files).status_code == 400
    assert small.get("/api/v1/verify").status_code == 405


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client: Callable[..., TestClient]) -> None:
    answer = client(body_bytes_max=2000).post("/api/v1/verify", content=(b"x" * 500 for _ in range(10)))
    assert answer.status_code == 413


def test_a_token_is_asked_for_where_one_is_set(client: Callable[..., TestClient]) -> None:
    secret = long("s3cret")
    guarded = client(token=secret)
    assert guarded.post("/api/v1/verify", content=b"x").status_code == 401
    for wrong in ("Bearer wrong", secret, f"Bearer {secret[:-1]}", "Bearer é"):
        headers = {"Authorization": wrong.encode()}
        assert guarded.post("/api/v1/verify", content=b"x", headers=headers).status_code == 401
    right = {"Authorization": f"Bearer {secret}"}
    assert guarded.post("/api/v1/verify", content=b"x", headers=right).status_code == 200
    assert guarded.get("/healthz").status_code == 200


def test_a_verification_that_died_is_a_503_with_a_code(client: Callable[..., TestClient]) -> None:
    answer = client().post("/api/v1/verify", content=b"deadly")
    assert (answer.status_code, answer.json()["error"]) == (503, "worker-died")


READER = token("reader", "read", "extract")
OPERATOR = token("operator", "operate", "operate", "administer")
ENDPOINTS: dict[Role, tuple[str, str]] = {
    "extract": ("POST", "/api/v1/extract"),
    "restore": ("POST", "/api/v1/restore"),
    "amend": ("POST", "/api/v1/amend"),
    "operate": ("GET", "/api/v1/queue"),
    "administer": ("POST", "/api/v1/reload"),
    "verify": ("POST", "/api/v1/verify"),
}


@pytest.mark.parametrize("role", ["extract", "restore", "amend", "operate", "administer"])
def test_without_any_token_configured_nobody_gets_more_than_verification(
    client: Callable[..., TestClient], role: Role
) -> None:
    answer = client().request(*ENDPOINTS[role], content=b"x", headers=bearer("anything"))
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")


@pytest.mark.parametrize("role", ENDPOINTS)
def test_a_role_opens_its_own_endpoint_and_no_other(client: Callable[..., TestClient], role: Role) -> None:
    guarded = client(token=(token("caller", "t", role),))
    for asked, endpoint in ENDPOINTS.items():
        answer = guarded.request(*endpoint, content=b"x", headers=bearer("t"))
        assert (answer.status_code == 403) == (asked != role), asked
        if asked != role:
            assert answer.json()["error"] == "forbidden"


def test_tokens_are_told_apart_and_wrong_ones_are_nobody(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(READER, OPERATOR))
    assert guarded.get("/api/v1/queue", headers=bearer("operate")).json() == []
    assert guarded.get("/api/v1/queue", headers=bearer("read")).status_code == 403
    for wrong in ("", "x", READER.sha256, "operate ", "a.b.c"):
        refused = guarded.get("/api/v1/queue", headers=bearer(wrong))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


def test_whoever_lacks_the_role_is_refused_before_the_body_is_read(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(OPERATOR,), body_bytes_max=2000)
    answer = guarded.post("/api/v1/extract", content=b"x" * 5000, headers=bearer("operate"))
    assert answer.status_code == 403


def test_each_denied_access_to_a_record_is_in_the_audit_log(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    guarded = client(token=(READER, OPERATOR))
    guarded.post("/api/v1/extract", content=b"x")
    guarded.post("/api/v1/restore", content=b"x", headers=bearer("read"))
    guarded.post("/api/v1/verify", content=b"x")
    guarded.get("/api/v1/queue", headers=bearer("read"))
    seen = [
        (line["caller"], line["action"], line["outcome"], line["reason"]) for line in audit_lines(tmp_path)
    ]
    assert seen == [
        (None, "extract", "denied", "unauthenticated"),
        ("reader", "restore", "denied", "forbidden"),
        (None, "verify", "denied", "unauthenticated"),
        ("reader", "operate", "denied", "forbidden"),
    ]


def test_a_gateway_without_the_key_says_so_and_writes_it_down(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    answer = client(token=(READER,)).post("/api/v1/extract", content=b"x", headers=bearer("read"))
    assert (answer.status_code, answer.json()["error"]) == (501, "not-configured")
    assert [(line["outcome"], line["reason"]) for line in audit_lines(tmp_path)] == [
        ("failed", "not-configured")
    ]


def test_an_access_that_can_not_be_written_down_is_refused(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").mkdir()
    guarded = client(token=(READER,))
    for headers in ({}, bearer("read")):
        answer = guarded.post("/api/v1/extract", content=b"x", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (503, "audit-failed")


def test_each_caller_has_a_rate_of_its_own(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(READER, OPERATOR), requests_per_minute=3)
    codes = [guarded.get("/api/v1/queue", headers=bearer("operate")).status_code for _ in range(3)]
    assert codes == [200, 200, 200]
    refused = guarded.get("/api/v1/queue", headers=bearer("operate"))
    assert (refused.status_code, refused.json()["retry"]) == (429, True)
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert guarded.get("/api/v1/queue", headers=bearer("read")).status_code == 403
    assert guarded.get("/healthz").status_code == 200


def test_guessing_is_slowed_down_and_keeps_nobody_out_who_has_a_token(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right token is kept out no longer than the wait: above the limit no token is looked at."""
    clock = Clock()
    monkeypatch.setattr(admission, "WrongTokens", partial(WrongTokens, clock=clock))
    guarded = client(token=(OPERATOR,), wrong_tokens_per_minute=3)
    codes = [guarded.post("/api/v1/extract", headers=bearer(f"guess-{n}")).status_code for n in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    right = guarded.get("/api/v1/queue", headers=bearer("operate"))
    assert (right.status_code, right.json()["error"], right.headers["retry-after"]) == (
        429,
        "wrong-tokens",
        "20",
    )
    assert guarded.post("/api/v1/verify", content=b"x").status_code == 401, (
        "without a token nothing is guessed"
    )
    clock.now += 20
    assert guarded.get("/api/v1/queue", headers=bearer("operate")).status_code == 200
    assert guarded.get("/api/v1/queue", headers=bearer("operate")).status_code == 200, (
        "right ones cost nothing"
    )
    assert guarded.get("/api/v1/queue", headers=bearer("guess")).status_code == 401
    assert guarded.get("/api/v1/queue", headers=bearer("operate")).status_code == 429


def test_each_address_has_wrong_tokens_of_its_own_and_only_proxies_of_ours_are_believed(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    """`testclient` is the peer of all requests; it is no address, so that nobody can trust it."""
    guarded = client(token=(OPERATOR,), wrong_tokens_per_minute=1)

    def codes(*forwarded: str) -> list[int]:
        headers = [bearer("guess") | {"X-Forwarded-For": each} for each in forwarded]
        return [guarded.get("/api/v1/queue", headers=each).status_code for each in headers]

    assert codes("10.0.0.1", "10.0.0.2") == [401, 429]
    assert {line["address"] for line in audit_lines(tmp_path)} == {"testclient"}


def test_an_empty_part_and_the_names_of_parts_arrive_as_they_were_sent(
    client: Callable[..., TestClient],
) -> None:
    files = [("first", ("", b"")), ("second", ("nüme \n.dcm", b"22")), ("third", ("c", b"\r\n--x\r\n"))]
    body = client().post("/api/v1/verify", files=files[1:]).json()
    assert [(report["path"].startswith("n"), report["level"]) for report in body] == [
        (True, "2"),
        (False, "7"),
    ]


def test_a_multipart_body_of_too_many_parts_is_refused(client: Callable[..., TestClient]) -> None:
    files = [("file", (f"{number}", b"1")) for number in range(1001)]
    assert client().post("/api/v1/verify", files=files).status_code == 400


def test_the_parts_of_a_multipart_body_never_reach_a_file(client: Callable[..., TestClient]) -> None:
    """Starlette's form keeps a part above a megabyte in a temporary file."""
    opened: list[str] = []
    connected = client()

    def noted(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and watching and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT:
            opened.append(str(arguments[0]))

    watching = False
    sys.addaudithook(noted)
    content = os.urandom(3 << 20)
    watching = True
    answer = connected.post("/api/v1/verify", files=[("file", ("a.dcm", content)), ("file", ("b", content))])
    watching = False
    assert [report["level"] for report in answer.json()] == [str(len(content))] * 2
    assert opened == []


def test_restoring_takes_one_object(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(token("r", "t", "restore"),))
    answer = guarded.post("/api/v1/restore", files=[("file", ("a.dcm", b"1"))], headers=bearer("t"))
    assert answer.status_code == 400


def test_quarantined_objects_are_listed_for_operators_and_given_to_who_may_read_records(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    spool = LocalSpool(tmp_path)
    name = spool.put(b"not a DICOM object of P-4711")
    note = Note(
        reason="unreadable",
        hint="Look at it.",
        at=1.0,
        instance="00ff",
        called="A",
        calling="B",
        action="seal",
        job=7,
    )
    Quarantine(tmp_path).put(spool, name, note)
    guarded = client(token=(READER, OPERATOR), body_bytes_max=1024)
    (entry,) = guarded.get("/api/v1/quarantine", headers=bearer("operate")).json()
    assert (entry["id"], entry["reason"], entry["job"], entry["bytes"]) == (name, "unreadable", 7, 28)
    path = f"/api/v1/quarantine/{entry['id'][:12]}"
    assert guarded.get(path, headers=bearer("operate")).status_code == 403
    assert guarded.get(path, headers=bearer("read")).content == b"not a DICOM object of P-4711"
    missing = guarded.get("/api/v1/quarantine/ffff", headers=bearer("read"))
    assert (missing.status_code, missing.json()["error"]) == (404, "not-found")
    assert guarded.get("/api/v1/quarantine", headers=bearer("read")).status_code == 403
    allowed = [line for line in audit_lines(tmp_path) if line["outcome"] == "allowed"]
    assert [(line["caller"], line["action"], line["instance"]) for line in allowed] == [
        ("reader", "quarantine", "00ff")
    ]


def test_a_quarantined_object_above_the_limit_is_left_to_the_command_line(
    client: Callable[..., TestClient], tmp_path: Path
) -> None:
    spool = LocalSpool(tmp_path)
    name = spool.put(b"x" * 2000)
    note = Note(reason="unreadable", hint="", at=1.0, instance="", called="", calling="", action="", job=None)
    Quarantine(tmp_path).put(spool, name, note)
    answer = client(token=(READER,), body_bytes_max=1024).get(
        f"/api/v1/quarantine/{name}", headers=bearer("read")
    )
    assert (answer.status_code, "export" in answer.json()["hint"]) == (413, True)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=x; charset=nonsense",
        "multipart/form-data; boundary=" + "y" * 300,
    ],
)
@pytest.mark.parametrize(
    "body", [b"--x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', b"\xff" * 99]
)
def test_a_broken_multipart_body_is_the_callers_mistake(
    client: Callable[..., TestClient], kind: str, body: bytes
) -> None:
    answer = client().post("/api/v1/verify", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad-request")
