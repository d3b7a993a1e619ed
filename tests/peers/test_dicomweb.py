"""DICOMweb through the gateway, in front of a real archive: originals come back, and verdicts with them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway.dicom.file_meta import unwrap
from tests.support import objects
from tests.support.dcmtk import storescu
from tests.support.gateway import DemoDestination, RunningGateway, wait_for
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back

SLICES = 5
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass
class Web:
    """A study behind the gateway, asked over HTTP.

    sent: SOP Instance UID -> the file as the modality sent it.
    """

    folder: Path
    gateway: RunningGateway
    pacs: Orthanc
    client: httpx.Client
    sent: dict[str, bytes] = field(default_factory=dict)

    def seal(self, files: list[bytes]) -> str:
        """Send a study through the gateway. Returns its UID once all of it is in the archive."""
        folder = self.folder / f"sent{len(self.sent)}"
        folder.mkdir()
        paths = []
        for number, data in enumerate(files):
            (folder / f"{number}.dcm").write_bytes(data)
            paths.append(folder / f"{number}.dcm")
            self.sent[header(data).SOPInstanceUID] = data
        storescu(self.gateway.dicom_port, paths)
        uids = [str(header(data).SOPInstanceUID) for data in files]
        wait_for(lambda: all(map(self.pacs.find, uids)), what="the study in the archive")
        return str(header(files[0]).StudyInstanceUID)

    def get(self, path: str, accept: str = "*/*", **headers: str) -> httpx.Response:
        return self.client.get(f"/dicom-web{path}", headers={"Accept": accept, **headers})

    def json(self, path: str) -> list[dict[str, Any]]:
        response = self.get(path, "application/dicom+json")
        assert response.status_code == 200, response.text
        return list(response.json())

    def stored_file(self, uid: str) -> Path:
        """Where the archive keeps an object."""
        data = self.pacs.download(str(self.pacs.find(uid)))
        (path,) = [
            path
            for path in (self.pacs.folder / "db").rglob("*")
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
        ]
        return path

    def audit(self) -> list[dict[str, Any]]:
        log = self.gateway.folder / "data" / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def of_study(self, study: str) -> list[str]:
        return [uid for uid, data in self.sent.items() if header(data).StudyInstanceUID == study]


def path_of(data: bytes) -> str:
    one = header(data)
    return f"/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


def header(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data), stop_before_pixels=True)


def data_set(data: bytes) -> bytes:
    return data[unwrap(data).offset :]


def parts(response: httpx.Response) -> list[tuple[Message, bytes]]:
    """Headers and content of each part, by the standard library."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + response.content)
    assert message.is_multipart()
    return [(part, bytes(part.get_payload(decode=True) or b"")) for part in message.get_payload()]  # type: ignore[union-attr]


def binary_parts(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and content of each part; the bytes exactly as they came."""
    boundary = b"--" + response.headers["content-type"].split("boundary=")[1].encode()
    found = []
    for piece in response.content.split(boundary)[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        found.append((lines["Content-Type"], content.removesuffix(b"\r\n")))
    return found


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve='cache_fresh_s = 0\nweb_policy = { altered = "mark" }',
            listener='accept = "any"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        yield Web(folder, gateway, pacs, client)


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    return web.seal(objects.series(SLICES, size=128, seed=3))


def test_studies_series_and_instances_are_found(web: Web, study: str) -> None:
    one = header(web.sent[web.of_study(study)[0]])
    (found,) = web.json(f"/studies?StudyInstanceUID={study}&includefield=00081030,ModalitiesInStudy")
    assert found["0020000D"]["Value"] == [study]
    assert found["00100020"]["Value"] == [one.PatientID]
    assert found["00100010"]["Value"][0]["Alphabetic"] == str(one.PatientName)
    assert found["00081190"]["Value"] == [f"{web.gateway.url}/dicom-web/studies/{study}"]
    (series,) = web.json(f"/studies/{study}/series?includefield=00080021,00080031,0008103E,00200011")
    assert series["0020000E"]["Value"] == [one.SeriesInstanceUID]
    listed = web.json(f"/studies/{study}/series/{one.SeriesInstanceUID}/instances")
    assert sorted(each["00080018"]["Value"][0] for each in listed) == sorted(web.of_study(study))
    assert len(web.json(f"/studies/{study}/instances?limit=2&offset=1")) == 2
    assert len(web.json(f"/instances?StudyInstanceUID={study}")) == SLICES
    assert web.json("/studies?PatientID=NOBODY") == []


def test_metadata_and_frames_are_those_of_the_original(web: Web, study: str) -> None:
    uids = web.of_study(study)
    one = header(web.sent[uids[0]])
    response = web.get(f"/studies/{study}/series/{one.SeriesInstanceUID}/metadata", "application/dicom+json")
    assert response.status_code == 200, web.gateway.log
    assert response.headers["Sealgate-Verdict"] == f"intact; intact={SLICES}"
    metadata = {each["00080018"]["Value"][0]: each for each in response.json()}
    assert sorted(metadata) == sorted(uids)
    for uid in uids:
        sent = dcmread(io.BytesIO(web.sent[uid]))
        expected = sent.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _element: "x")
        told = {key: value for key, value in metadata[uid].items() if not key.startswith("0099")}
        assert told.pop("7FE00010") == {
            "vr": "OW",
            "BulkDataURI": f"/dicom-web{path_of(web.sent[uid])}/frames",
        }
        expected.pop("7FE00010")
        assert told == expected
        assert metadata[uid]["00991001"]["Value"] == ["intact"]
        frames = web.get(f"{path_of(web.sent[uid])}/frames/1", OCTETS)
        assert frames.status_code == 200
        ((kind, content),) = binary_parts(frames)
        assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        assert content == sent.PixelData
        assert frames.headers["Sealgate-Verdict"] == "intact"
