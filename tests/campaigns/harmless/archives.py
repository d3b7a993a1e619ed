"""Whole archives: what went in over DICOM, REST or DICOMweb, and what they give back on every way out."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.commands.demo.dcmtk import echoscu, run
from gateway.commands.demo.process import Process, free_port, program
from gateway.dicom.part10 import read
from gateway.dicom.syntaxes import TABLE
from gateway.dicom.tags import SOP_INSTANCE_UID
from gateway.errors import PeerError, ResourceError
from tests.campaigns.harmless.operation import Declined, Operation
from tests.support.dcmtk import Storescp
from tests.support.modality import parcel, send
from tests.support.orthanc import Orthanc

DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STUDY, SERIES = 0x0020000D, 0x0020000E
INGESTED_AS = {
    "Explicit VR Little Endian": "1.2.840.10008.1.2.1",
    "JPEG Lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS Lossless": "1.2.840.10008.1.2.4.80",
    "JPEG 2000 Lossless": "1.2.840.10008.1.2.4.90",
}
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class Qrscp:
    """dcmqrscp, DCMTK's archive."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "images").mkdir(parents=True)
        self._process: Process | None = None

    def __enter__(self) -> Qrscp:
        settings = self.folder / "dcmqrscp.cfg"
        settings.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nQRSCP {self.folder / 'images'} RW (5000, 1024mb) ANY\nAETable END\n"
        )
        command = [str(program("dcmqrscp", "dcmtk")), "-c", str(settings)]
        self._process = Process(command, log=self.folder / "dcmqrscp.log")
        self._process.start()
        self._process.wait_until(lambda: echoscu(self.port, called="QRSCP"), what="dcmqrscp")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()


class Archives:
    """All archives, started. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Archives:
        # A peer that doesn't start must not leave those that did.
        with self._stack:
            self._start(self._stack)
            self._stack = self._stack.pop_all()
        return self

    def _start(self, stack: ExitStack) -> None:
        folder = self.folder
        self.viewer = stack.enter_context(Storescp(folder / "viewer"))
        self.orthanc = self._orthanc(
            "orthanc",
            Plugins=[DICOMWEB],
            DicomModalities={"viewer": ["VIEWER", "127.0.0.1", self.viewer.port]},
            DicomAlwaysAllowGet=True,
            DicomAlwaysAllowMove=True,
        )
        self.ingesting = {
            name: self._orthanc(f"ingest-{uid}", IngestTranscoding=uid) for name, uid in INGESTED_AS.items()
        }
        self.qrscp = stack.enter_context(Qrscp(folder / "qrscp"))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _orthanc(self, name: str, **settings: Any) -> Orthanc:
        return self._stack.enter_context(Orthanc(self.folder / name, settings=settings))


def operations(archives: Archives) -> Iterator[Operation]:
    def op(name: str, tool: str, change: Callable[[bytes], bytes]) -> Operation:
        return Operation("archive", name, tool, partial(_surviving, change=change, archives=archives))

    orthanc = archives.orthanc
    yield op("C-STORE, REST", "Orthanc", partial(_stored_rest, orthanc=orthanc))
    yield op("REST, REST", "Orthanc", partial(_rest_rest, orthanc=orthanc))
    yield op(
        "C-STORE, C-GET",
        "Orthanc",
        partial(_c_get, port=orthanc.dicom_port, called="ORTHANC", folder=archives.folder),
    )
    yield op("REST, C-STORE to a viewer", "Orthanc", partial(_c_move, archives=archives))
    yield op("STOW-RS, WADO-RS", "Orthanc", partial(_dicomweb, orthanc=orthanc, accept=ANY_SYNTAX))
    yield op(
        "STOW-RS, WADO-RS as Explicit VR Little Endian",
        "Orthanc",
        partial(
            _dicomweb,
            orthanc=orthanc,
            accept='multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
        ),
    )
    yield op("STOW-RS, WADO-URI", "Orthanc", partial(_wado_uri, orthanc=orthanc))
    for row in TABLE.values():
        if row.lossless and row.decoder:
            yield op(
                f"modified, transcoded to {row.name}",
                "Orthanc",
                partial(_transcoded, orthanc=orthanc, syntax=row.uid),
            )
    for name, ingesting in archives.ingesting.items():
        yield op(f"C-STORE, stored as {name}", "Orthanc", partial(_stored_rest, orthanc=ingesting))
    yield op(
        "C-STORE, C-GET",
        "dcmqrscp",
        partial(_c_get, port=archives.qrscp.port, called="QRSCP", folder=archives.folder),
    )
    yield op("C-STORE, the file it stored", "dcmqrscp", partial(_stored_by_qrscp, qrscp=archives.qrscp))


def _surviving(data: bytes, change: Callable[[bytes], bytes], archives: Archives) -> bytes:
    """The change, unless the archive ends over the object: then it is started again."""
    try:
        return change(data)
    except (OSError, PeerError, AssertionError) as error:
        for orthanc in (archives.orthanc, *archives.ingesting.values()):
            if orthanc.process is not None and not orthanc.process.running:
                orthanc.start()
        raise Declined(f"the archive hangs up: {type(error).__name__}") from error


def transcoded_by_orthanc(data: bytes, orthanc: Orthanc, syntax: str) -> bytes:
    """A copy in another transfer syntax, also a lossy one."""
    return _transcoded(data, orthanc=orthanc, syntax=syntax)


def _store(data: bytes, port: int, called: str) -> None:
    status = send([parcel(data, fallback_uid="2.25.3")], port, called=called)[0]
    if status & 0xF000 == 0xB000 or status == 0:
        return
    raise Declined(f"C-STORE status {status:04X}")


def _uids(data: bytes) -> tuple[str, str, str]:
    file = read(data)
    return file.text(STUDY), file.text(SERIES), file.text(SOP_INSTANCE_UID)


def _found(orthanc: Orthanc, data: bytes) -> str:
    identifier = orthanc.find(_uids(data)[2])
    if identifier is None:
        raise Declined("the archive does not find it again")
    return identifier


def _kept(orthanc: Orthanc, data: bytes) -> str:
    try:
        orthanc.upload(data)
    except ResourceError as error:
        raise Declined(str(error)) from error
    return _found(orthanc, data)


def _stored_rest(data: bytes, orthanc: Orthanc) -> bytes:
    _store(data, orthanc.dicom_port, "ORTHANC")
    return orthanc.download(_found(orthanc, data))


def _rest_rest(data: bytes, orthanc: Orthanc) -> bytes:
    return orthanc.download(_kept(orthanc, data))


def _transcoded(data: bytes, orthanc: Orthanc, syntax: str) -> bytes:
    identifier = _kept(orthanc, data)
    order = {"Transcode": syntax, "Keep": ["SOPInstanceUID"], "Force": True}
    try:
        modified = orthanc.request("POST", f"/instances/{identifier}/modify", json.dumps(order).encode())
    except ResourceError as error:
        raise Declined("Orthanc does not transcode it") from error
    if not modified:
        raise Declined("Orthanc answers nothing")
    return modified


def _c_get(data: bytes, port: int, called: str, folder: Path) -> bytes:
    _store(data, port, called)
    study, series, instance = _uids(data)
    target = folder / "got"
    target.mkdir(exist_ok=True)
    for path in target.iterdir():
        path.unlink()
    keys = {"0008,0052": "IMAGE", "0020,000D": study, "0020,000E": series, "0008,0018": instance}
    queries = [part for tag, value in keys.items() for part in ("-k", f"{tag}={value}")]
    # +xs .. would offer one syntax; without it uncompressed ones are offered, and the archive converts.
    done = run(
        "getscu",
        ["-S", "+B", "-aet", "VIEWER", "-aec", called, *queries, "-od", str(target), "127.0.0.1", str(port)],
    )
    files = list(target.iterdir())
    if len(files) != 1:
        raise Declined(f"C-GET: {(done.stdout + done.stderr).strip()[-100:] or 'nothing came'}")
    return files[0].read_bytes()


def _c_move(data: bytes, archives: Archives) -> bytes:
    identifier = _kept(archives.orthanc, data)
    for path in archives.viewer.files():
        path.unlink()
    try:
        archives.orthanc.request("POST", "/modalities/viewer/store", json.dumps(identifier).encode())
    except ResourceError as error:
        raise Declined("Orthanc could not send it") from error
    files = archives.viewer.files()
    if len(files) != 1:
        raise Declined("nothing arrived")
    return files[0].read_bytes()


def _dicomweb(data: bytes, orthanc: Orthanc, accept: str) -> bytes:
    _stow(data, orthanc)
    study, series, instance = map(quote, _uids(data))
    url = f"{orthanc.url}/dicom-web/studies/{study}/series/{series}/instances/{instance}"
    content_type, body = _http(urllib.request.Request(url, headers={"Accept": accept}))
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise Declined("WADO-RS: no multipart answer")
    part = body.split(b"--" + boundary[1].encode())[1]
    return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")


def _wado_uri(data: bytes, orthanc: Orthanc) -> bytes:
    _stow(data, orthanc)
    study, series, instance = map(quote, _uids(data))
    query = f"requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    url = f"{orthanc.url}/wado?{query}&contentType=application/dicom"
    return _http(urllib.request.Request(url))[1]


def _stow(data: bytes, orthanc: Orthanc) -> None:
    if b"--sealgate-part" in data:
        raise Declined("the boundary stands in the object")
    body = b"--sealgate-part\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--sealgate-part--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=sealgate-part'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    _http(
        urllib.request.Request(f"{orthanc.url}/dicom-web/studies", data=body, headers=headers, method="POST")
    )


def _http(request: urllib.request.Request) -> tuple[str, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers["Content-Type"] or "", bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise Declined(f"HTTP {error.code}") from error


def _stored_by_qrscp(data: bytes, qrscp: Qrscp) -> bytes:
    folder = qrscp.folder / "images"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _store(data, qrscp.port, "QRSCP")
    fresh = [
        path
        for path in folder.iterdir()
        if path.name != "index.dat" and before.get(path) != path.stat().st_mtime_ns
    ]
    if len(fresh) != 1:
        raise Declined("nothing was stored")
    return fresh[0].read_bytes()
