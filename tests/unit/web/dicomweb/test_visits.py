"""Who is let in to DICOMweb, how often, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.config.http import HttpSettings
from gateway.observe.access_log import AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.web.admission import Admission, Visit
from gateway.web.api import application
from gateway.web.dicomweb.visits import NOTED_S, Disclosures, Visits
from tests.support.web import audit_lines, backend, bearer, token

VIEWER = token("viewer", "viewer", "retrieve", "operate")
LOCAL = {"Host": "127.0.0.1:8080"}


async def plain(_request: Request, _visit: Visit) -> Response:
    return PlainTextResponse("here")


async def in_pieces(_request: Request, _visit: Visit) -> Response:
    return StreamingResponse(iter([b"a", b"b"]))


def part(admission: Admission) -> list[Route]:
    visits = Visits(admission, "retrieve")
    return [
        Route("/dicom-web/plain", visits.endpoint(plain)),
        Route("/dicom-web/pieces", visits.endpoint(in_pieces)),
    ]


@pytest.fixture
def client(tmp_path: Path) -> Callable[..., TestClient]:
    def connected(**settings: Any) -> TestClient:
        given = HttpSettings(**settings)
        return TestClient(
            application(lambda: given, backend(tmp_path, parts=[part])), raise_server_exceptions=False
        )

    return connected


def test_a_viewer_asks_as_often_as_it_needs_frames_and_no_more(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(VIEWER,), requests_per_minute=1, retrieve_requests_per_minute=5)
    headers = bearer("viewer")
    statuses = [guarded.get("/dicom-web/plain", headers=headers).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert guarded.get("/api/v1/queue", headers=headers).status_code == 200


def test_a_wrong_token_counts_as_everywhere(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(VIEWER,), requests_per_minute=2, retrieve_requests_per_minute=1000)
    statuses = [guarded.get("/dicom-web/plain", headers=bearer("guess")).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


def test_a_place_is_given_back_when_the_answer_was_sent(client: Callable[..., TestClient]) -> None:
    guarded = client(token=(VIEWER,), retrieve_concurrent=1, request_timeout_s=1)
    for _ in range(3):
        assert guarded.get("/dicom-web/pieces", headers=bearer("viewer")).content == b"ab"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (LOCAL, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        (LOCAL | {"X-Forwarded-For": "10.1.1.1"}, 403),
        (LOCAL | {"Via": "1.1 proxy"}, 403),
    ],
    ids=str,
)
def test_without_tokens_only_this_machine_asks(
    client: Callable[..., TestClient], headers: dict[str, str], status: int
) -> None:
    assert client().get("/dicom-web/plain", headers=headers).status_code == status


def test_where_the_network_may_verify_without_a_token_it_may_not_retrieve(
    client: Callable[..., TestClient],
) -> None:
    assert client(host="0.0.0.0", insecure=True).get("/dicom-web/plain", headers=LOCAL).status_code == 401


def test_the_same_disclosure_is_written_down_once_a_minute(tmp_path: Path) -> None:
    now = [1000.0]
    disclosures = Disclosures(AccessLog(tmp_path), Pseudonyms.load(tmp_path), lambda: now[0])
    visit = Visit("viewer", "10.0.0.1", "retrieve")

    def note(uid: str, who: Visit = visit) -> None:
        disclosures.note(who, uid, action="retrieve", outcome="allowed", reason="wado-rs")

    for _ in range(5):
        note("1.2.3")
    note("1.2.4")
    note("1.2.3", Visit("other", "10.0.0.1", "retrieve"))
    assert len(audit_lines(tmp_path)) == 3
    now[0] += NOTED_S
    note("1.2.3")
    assert len(audit_lines(tmp_path)) == 4
    assert "1.2.3" not in (tmp_path / "audit.log").read_text()
