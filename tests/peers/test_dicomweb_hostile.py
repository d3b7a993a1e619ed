"""An archive that speaks DICOMweb and answers what it likes: nothing of it reaches a viewer as good."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gateway.commands.demo.process import free_port
from tests.support import objects
from tests.support.gateway import DemoDestination, RunningGateway
from tests.support.way_back import with_way_back
from tests.support.web_viewer import DICOM, header, path_of


@dataclass
class Archive:
    """Answers each request with what is set.

    listed: the answer to a search.
    sent: the answer to a request for an object, and its type.
    """

    port: int = 0
    status: int = 200
    listed: bytes = b"[]"
    sent: bytes = b""
    kind: str = "application/dicom"
    location: str = ""
    drips: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)


@contextmanager
def archive() -> Iterator[Archive]:
    told = Archive()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.asked.append(self.path)
            search = "json" in self.headers["Accept"]
            page = search and "offset=0" not in self.path and told.listed.startswith(b"[")
            body = b"[]" if page else told.listed if search else told.sent
            self.send_response(302 if told.location else told.status)
            if told.location:
                self.send_header("Location", told.location)
            self.send_header("Content-Type", "application/dicom+json" if search else told.kind)
            self.send_header("Content-Length", str(10_000_000 if told.drips else len(body)))
            self.end_headers()
            if told.drips:
                # As slowly as it may, until the other side has had enough.
                with suppress(OSError):
                    while not told.released.wait(0.2):
                        self.wfile.write(b" ")
                return
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Tests look at what the gateway says."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def told() -> Iterator[Archive]:
    with archive() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(told: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    running = with_way_back(
        Path(tmp_path_factory.mktemp("gateway")),
        DemoDestination(name="pacs", ae_title="PACS", port=free_port()),
        retrieve=f'dicomweb = "http://127.0.0.1:{told.port}/dicom-web"\n'
        'fetch = "wado"\ncache_fresh_s = 0\nquery_timeout_s = 4',
        listener='accept = "any"',
    )
    with running:
        yield running


@pytest.fixture(autouse=True)
def fresh(told: Archive) -> None:
    told.status, told.listed, told.sent, told.kind, told.location = 200, b"[]", b"", "application/dicom", ""


def get(gateway: RunningGateway, path: str, accept: str = "*/*") -> httpx.Response:
    return httpx.get(f"{gateway.url}/dicom-web{path}", headers={"Accept": accept}, timeout=60)


def listing(data: bytes) -> bytes:
    one = header(data)
    values = {
        "00080016": one.SOPClassUID,
        "00080018": one.SOPInstanceUID,
        "0020000D": one.StudyInstanceUID,
        "0020000E": one.SeriesInstanceUID,
    }
    return json.dumps([{key: {"vr": "UI", "Value": [value]} for key, value in values.items()}]).encode()


DATA = objects.ct(rows=32, columns=32, seed=1)


@pytest.mark.parametrize("listed", [b"nonsense", b"{}", b"\xff\xfe", b'"text"', b"[[[[", b"null"])
def test_a_search_that_is_answered_with_nonsense_is_a_bad_gateway(
    told: Archive, gateway: RunningGateway, listed: bytes
) -> None:
    told.listed = listed
    assert get(gateway, "/studies").status_code == 502
    assert get(gateway, path_of(DATA) + "/metadata").status_code == 502


def test_answers_of_odd_shape_are_left_out(told: Archive, gateway: RunningGateway) -> None:
    told.listed = json.dumps(
        [1, None, [], {"0020000D": "x"}, {"0020000D": {"Value": "x"}}, {"evil": {}, "00080005": {"vr": "CS"}}]
    ).encode()
    assert get(gateway, "/studies").status_code == 200
    assert get(gateway, path_of(DATA) + "/metadata").status_code == 404


def test_what_the_archive_says_of_verdicts_and_addresses_is_not_passed_on(
    told: Archive, gateway: RunningGateway
) -> None:
    (model,) = json.loads(listing(DATA))
    model |= {
        "00081190": {"vr": "UR", "Value": ["http://evil.example/"]},
        "00990010": {"vr": "LO", "Value": ["SEALGATE"]},
        "00991001": {"vr": "LO", "Value": ["intact"]},
    }
    told.listed = json.dumps([model]).encode()
    (found,) = get(gateway, "/studies").json()
    assert "evil" not in json.dumps(found)
    assert not [key for key in found if key.startswith("0099")]


def test_an_archive_that_answers_drop_by_drop_is_not_waited_for(
    told: Archive, gateway: RunningGateway
) -> None:
    told.drips = True
    try:
        assert get(gateway, "/studies").status_code == 502
    finally:
        told.drips = False
        told.released.set()


def test_redirections_are_not_followed(told: Archive, gateway: RunningGateway) -> None:
    told.location = f"http://127.0.0.1:{told.port}/elsewhere"
    before = len(told.asked)
    assert get(gateway, "/studies").status_code == 502
    assert not [path for path in told.asked[before:] if "elsewhere" in path]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"nonsense", "application/dicom"),
        (b"", "application/dicom"),
        (b"nonsense", 'multipart/related; type="application/dicom"; boundary=x'),
        (b"--x\r\n\r\n", 'multipart/related; type="application/dicom"'),
        (DATA[:300], "application/dicom"),
    ],
)
def test_an_object_that_is_none_is_not_handed_out(
    told: Archive, gateway: RunningGateway, sent: bytes, kind: str
) -> None:
    told.listed, told.sent, told.kind = listing(DATA), sent, kind
    assert get(gateway, path_of(DATA), DICOM).status_code in (403, 502)
    (metadata,) = get(gateway, path_of(DATA) + "/metadata").json()
    assert metadata["00991001"]["Value"][0] in ("unavailable", "unreadable")


def test_another_object_than_was_asked_for_is_withheld(told: Archive, gateway: RunningGateway) -> None:
    told.listed, told.sent = listing(DATA), objects.ct(rows=32, columns=32, seed=2)
    answer = get(gateway, path_of(DATA), DICOM)
    assert answer.status_code == 403
    assert answer.headers["Sealgate-Verdict"] == "misidentified"
    (metadata,) = get(gateway, path_of(DATA) + "/metadata").json()
    assert metadata["00080018"]["Value"] == [header(DATA).SOPInstanceUID]
    assert "00100010" not in metadata


def test_an_error_of_the_archive_for_one_object_is_told_as_that(
    told: Archive, gateway: RunningGateway
) -> None:
    told.listed, told.sent = listing(DATA), b"x"
    told.status = 500
    assert get(gateway, path_of(DATA) + "/metadata").status_code == 502
