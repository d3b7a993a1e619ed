"""A viewer on the web: a gateway with a way back, an archive behind it, and what HTTP brings."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway.dicom.file_meta import unwrap
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.orthanc import Orthanc

# The plugin of Debian.
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
WITH_PLUGIN = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
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
        self.sent |= {str(header(data).SOPInstanceUID): data for data in files}
        statuses = send([parcel(data, fallback_uid="1.2.3") for data in files], self.gateway.dicom_port)
        assert set(statuses) == {0}
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
    return [
        (part, bytes(part.get_payload(decode=True) or b""))
        for part in message.walk()
        if not part.is_multipart()
    ]


def binary_parts(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and content of each part; the bytes exactly as they came."""
    boundary = b"--" + response.headers["content-type"].split("boundary=")[1].encode()
    found = []
    for piece in response.content.split(boundary)[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        found.append((lines["Content-Type"], content.removesuffix(b"\r\n")))
    return found


def tamper(web: Web, uid: str) -> None:
    """Change pixels where the archive keeps them."""
    path = web.stored_file(uid)
    stored = bytearray(path.read_bytes())
    stored[-2000] ^= 0x10
    path.write_bytes(stored)


def tiles_of(web: Web, uid: str) -> list[list[int]]:
    """What the command says of the object in the archive."""
    response = web.client.post(
        "/api/v1/verify",
        content=web.pacs.download(str(web.pacs.find(uid))),
        headers={"Content-Type": "application/dicom"},
    )
    tiles = response.json()["tampered_tiles"]
    assert tiles
    return list(tiles)
