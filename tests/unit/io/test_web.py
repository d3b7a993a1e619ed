"""The HTTP endpoints: what they answer, and what they refuse."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from starlette.testclient import TestClient

from gateway.config import Http
from gateway.errors import WorkerDied
from gateway.web.app import Backend, application


def length(data: bytes) -> dict[str, Any]:
    """Stands at the place of verification, so that a report can be told apart by its object."""
    if data == b"deadly":
        raise WorkerDied("the worker process ended")
    return {"sop_instance_uid": "1.2.3", "verdict": "intact", "bytes": len(data)}


def client(problems: list[str] | None = None, **settings: Any) -> TestClient:
    backend = Backend(judge=length, problems=lambda: problems or [], exposition=lambda: b"sealgate_x 1\n")
    return TestClient(application(Http(**settings), backend), raise_server_exceptions=False)


def test_alive_is_alive() -> None:
    assert client().get("/healthz").status_code == 200


def test_readiness_names_its_problems() -> None:
    assert client().get("/readyz").json() == {"ready": True, "problems": [], "notices": []}
    unready = client(["queue: resource"]).get("/readyz")
    assert (unready.status_code, unready.json()["problems"]) == (503, ["queue: resource"])


def test_metrics_have_the_type_that_prometheus_expects() -> None:
    answer = client().get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.content == b"sealgate_x 1\n"


def test_one_object_gets_one_report() -> None:
    answer = client().post("/api/v1/verify", content=b"x" * 10, headers={"Content-Type": "application/dicom"})
    assert answer.json() == {"path": "body", "sop_instance_uid": "1.2.3", "verdict": "intact", "bytes": 10}


def test_several_objects_get_a_list_in_their_order() -> None:
    files = [("file", ("a.dcm", b"1")), ("file", ("b.dcm", b"22"))]
    reports = client().post("/api/v1/verify", files=files).json()
    assert [(report["path"], report["bytes"]) for report in reports] == [("a.dcm", 1), ("b.dcm", 2)]


def test_too_much_nothing_and_no_file_are_refused() -> None:
    small = client(body_bytes_max=2000)
    assert small.post("/api/v1/verify", content=b"x" * 2001).status_code == 413
    assert small.post("/api/v1/verify", content=b"").status_code == 400
    files = {"field": (None, "text")}
    assert small.post("/api/v1/verify", files=files).status_code == 400
    assert small.get("/api/v1/verify").status_code == 405


def test_a_body_of_unknown_length_is_cut_off_at_the_limit() -> None:
    answer = client(body_bytes_max=2000).post("/api/v1/verify", content=(b"x" * 500 for _ in range(10)))
    assert answer.status_code == 413


def test_a_token_is_asked_for_where_one_is_set() -> None:
    guarded = client(token=SecretStr("s3cret"))
    assert guarded.post("/api/v1/verify", content=b"x").status_code == 401
    for wrong in ("Bearer wrong", "s3cret", "Bearer s3cre", "Bearer é"):
        headers = {"Authorization": wrong.encode()}
        assert guarded.post("/api/v1/verify", content=b"x", headers=headers).status_code == 401
    right = {"Authorization": "Bearer s3cret"}
    assert guarded.post("/api/v1/verify", content=b"x", headers=right).status_code == 200
    assert guarded.get("/healthz").status_code == 200


def test_a_verification_that_died_is_a_503_with_a_code() -> None:
    answer = client().post("/api/v1/verify", content=b"deadly")
    assert (answer.status_code, answer.json()["error"]) == (503, "worker-died")
