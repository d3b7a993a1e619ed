"""The way back when something goes wrong in the middle, with other archives, and within its limits."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context, build_role

from gateway import keys
from gateway.commands.demo.process import Process, free_port, program
from gateway.dicom.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET
from gateway.seal import SealOptions, seal
from gateway.seal.codec.codec import Codec
from tests.support import objects
from tests.support.dcmtk import Storescp, echoscu, storescu
from tests.support.gateway import DemoDestination, RunningGateway, wait_for
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, TITLE, VIEWER, getscu, movescu, with_way_back

CT = "1.2.840.10008.5.1.4.1.1.2"
SLICES = 6


def sealed(gateway: RunningGateway, codec: Codec, data: list[bytes]) -> list[bytes]:
    """The objects sealed with the gateway's keys. The gateway need not run."""
    return [
        bytes(
            seal(
                each,
                recipient=keys.load_recipient(gateway.keys / "recipient.pub"),
                signer=keys.load_signer(gateway.keys / "signer.key"),
                codec=codec,
                options=SealOptions(),
                now=datetime.now(UTC),
            )[0][:]
        )
        for each in data
    ]


class ArchiveInParts:
    """An archive over TCP that answers C-FIND and C-GET from a list of objects, as far as the test lets it.

    dies_after: so many objects; None: it lives.
    also: objects that it lists and sends for whatever is asked.
    series_without_end: it lists series as long as somebody listens.
    """

    def __init__(self, *, sop_classes: Sequence[str] = (STUDY_ROOT_FIND, STUDY_ROOT_GET)) -> None:
        """sop_classes: of queries, that it accepts."""
        self.sop_classes = sop_classes
        self.also: list[Dataset] = []
        self.series_without_end = False
        self.held: list[Dataset] = []
        self.sent = 0
        self.gets = 0
        self.cancelled = threading.Event()
        self.dies_after: int | None = None

    def hold(self, files: list[bytes]) -> None:
        self.held = [dcmread(io.BytesIO(data)) for data in files]

    def __enter__(self) -> ArchiveInParts:
        entity = AE(ae_title="PARTS")
        contexts = [build_context(sop_class) for sop_class in self.sop_classes]
        image = build_context(CT, ExplicitVRLittleEndian)
        image.scu_role, image.scp_role = True, True
        server: Any = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            contexts=[*contexts, image, build_context("1.2.840.10008.1.1")],
            evt_handlers=[(evt.EVT_C_FIND, self.find), (evt.EVT_C_GET, self.get)],
        )
        self._server = server
        self.port = int(server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    @property
    def destination(self) -> DemoDestination:
        return DemoDestination(name="pacs", ae_title="PARTS", port=self.port)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        held = self.held if level == "IMAGE" else self.held[:1]
        for number, each in enumerate([*held, *self.also] * (100_000 if self.series_without_end else 1)):
            match = Dataset()
            match.QueryRetrieveLevel = level
            for element in event.identifier:
                if element.keyword != "QueryRetrieveLevel" and element.keyword in each:
                    match[element.tag] = each[element.tag]
            if self.series_without_end:
                match.SeriesInstanceUID = f"1.2.{number}"
            if event.is_cancelled:
                return
            yield 0xFF00, match

    def get(self, event: evt.Event) -> Iterator[Any]:
        self.gets += 1
        uids = event.identifier.SOPInstanceUID
        wanted = [each for each in self.held if each.SOPInstanceUID in uids] + self.also
        yield len(wanted)
        for each in wanted:
            if event.is_cancelled:
                self.cancelled.set()
                yield 0xFE00, None
                return
            if self.dies_after is not None and self.sent >= self.dies_after:
                event.assoc.abort()
                return
            self.sent += 1
            yield 0xFF00, each


@contextmanager
def house(
    folder: Path,
    codec: Codec,
    data: list[bytes],
    *,
    retrieve: str = "",
    sop_classes: Sequence[str] = (STUDY_ROOT_FIND, STUDY_ROOT_GET),
) -> Iterator[tuple[ArchiveInParts, RunningGateway, Storescp]]:
    with (
        ArchiveInParts(sop_classes=sop_classes) as archive,
        Storescp(folder / "ws", ae_title="WORKSTATION") as workstation,
    ):
        gateway = with_way_back(
            folder / "gateway",
            archive.destination,
            viewers=[DemoDestination(name="ws", ae_title="WORKSTATION", port=workstation.port)],
            retrieve=retrieve,
        )
        gateway.prepare()
        archive.hold(sealed(gateway, codec, data))
        with gateway:
            yield archive, gateway, workstation


def study_of(data: bytes) -> str:
    return f"StudyInstanceUID={dcmread(io.BytesIO(data)).StudyInstanceUID}"


def test_an_archive_that_dies_in_the_middle_leaves_the_rest_failed(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(SLICES, size=64, seed=21)
    with house(tmp_path, codec, data) as (archive, gateway, workstation):
        archive.dies_after = 4
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        images = [path for path in workstation.files() if path.name.startswith("CT")]
        assert len(images) == 4
        assert "Failed Suboperations          : 2" in answered.text
        assert "0xb000" in answered.text
        # The next request is served as if nothing had happened.
        archive.dies_after = None
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        assert f"Completed Suboperations       : {SLICES}" in answered.text
    assert list((gateway.folder / "data" / "handover").iterdir()) == []


@pytest.mark.parametrize(
    ("sop_class", "told"),
    [
        (STUDY_ROOT_FIND, "does not accept this kind of query"),
        (STUDY_ROOT_GET, "accepts nothing of what was offered"),
    ],
    ids=["find-only", "get-only"],
)
def test_an_archive_that_does_not_let_us_leaves_all_failed(
    tmp_path: Path, codec: Codec, sop_class: str, told: str
) -> None:
    data = objects.series(2, size=64, seed=34)
    with house(tmp_path, codec, data, sop_classes=(sop_class,)) as (_, gateway, workstation):
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        assert "0xa702" in answered.text
        assert workstation.files() == []
        assert told in gateway.log


def test_a_cancel_in_the_middle_stops_it_all(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(60, size=64, seed=22)
    with house(tmp_path, codec, data) as (archive, gateway, workstation):
        answered = movescu(
            gateway.dicom_port,
            "WORKSTATION",
            "QueryRetrieveLevel=STUDY",
            study_of(data[0]),
            options=("-S", "--cancel", "3"),
        )
        gateway.until_metric("sealgate_retrievals_total", 1, service="c-move", outcome="cancelled")
        assert "0xfe00" in answered.text
        assert 3 <= len(workstation.files()) < 60
        assert archive.sent < 60
        assert "Remaining Suboperations       : 5" in answered.text
        wait_for(
            lambda: list((gateway.folder / "data" / "handover").iterdir()) == [], what="no object left behind"
        )


def test_a_viewer_that_goes_away_stops_it_all(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(60, size=64, seed=23)
    with house(tmp_path, codec, data) as (archive, gateway, _):
        entity = AE(ae_title=VIEWER)
        # It waits for a last response that does not come any more.
        entity.dimse_timeout = 1
        image = build_context(CT, ExplicitVRLittleEndian)
        received: list[evt.Event] = []

        def stored(event: evt.Event) -> int:
            received.append(event)
            if len(received) == 3:
                event.assoc.abort()
            return 0

        association = entity.associate(
            "127.0.0.1",
            gateway.dicom_port,
            [build_context(STUDY_ROOT_GET), image],
            ae_title=TITLE,
            ext_neg=[build_role(CT, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, stored)],
        )
        assert association.is_established
        question = Dataset()
        question.QueryRetrieveLevel, question.StudyInstanceUID = "STUDY", study_of(data[0]).split("=")[1]
        list(association.send_c_get(question, STUDY_ROOT_GET))
        gateway.until_metric("sealgate_retrievals_total", 1, service="c-get")
        assert archive.sent < 60
        assert echoscu(gateway.dicom_port, called=TITLE, calling=VIEWER)


def test_objects_of_another_study_that_the_archive_slips_in_do_not_go_out(
    tmp_path: Path, codec: Codec
) -> None:
    data = objects.series(2, size=64, seed=28)
    with house(tmp_path, codec, data) as (archive, gateway, workstation):
        (other,) = sealed(gateway, codec, [objects.ct(rows=64, columns=64, seed=29)])
        archive.also = [dcmread(io.BytesIO(other))]
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        assert "Completed Suboperations       : 2" in answered.text
        assert archive.sent == 3
        studies = {str(dcmread(path).StudyInstanceUID) for path in workstation.files()}
    assert studies == {study_of(data[0]).split("=")[1]}


def test_an_archive_that_lists_without_end_is_told_to_stop(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(2, size=64, seed=30)
    with house(tmp_path, codec, data, retrieve="instances = 50") as (archive, gateway, _):
        archive.series_without_end = True
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        assert "0xa701" in answered.text
        assert archive.gets == 0
        assert echoscu(gateway.dicom_port, called=TITLE, calling=VIEWER)


def test_more_instances_than_allowed_are_refused_before_the_first(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(3, size=64, seed=24)
    with house(tmp_path, codec, data, retrieve="instances = 2") as (archive, gateway, _):
        answered = movescu(gateway.dicom_port, "WORKSTATION", "QueryRetrieveLevel=STUDY", study_of(data[0]))
        assert "0xa701" in answered.text
        assert archive.gets == 0


def test_a_request_beyond_those_allowed_at_once_is_refused(tmp_path: Path, codec: Codec) -> None:
    data = objects.series(2, size=64, seed=25)
    with house(tmp_path, codec, data, retrieve="requests = 1") as (archive, gateway, _):
        first = threading.Event()
        go_on = threading.Event()
        answer = archive.find

        def holding(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
            first.set()
            go_on.wait(60)
            yield from answer(event)

        archive._server.unbind(evt.EVT_C_FIND, archive.find)
        archive._server.bind(evt.EVT_C_FIND, holding)
        results: list[str] = []
        question = ("QueryRetrieveLevel=STUDY", study_of(data[0]))
        thread = threading.Thread(
            target=lambda: results.append(movescu(gateway.dicom_port, "WORKSTATION", *question).text)
        )
        thread.start()
        assert first.wait(60)
        assert "0xa702" in movescu(gateway.dicom_port, "WORKSTATION", *question).text
        go_on.set()
        thread.join(60)
        assert "0x0000: Success" in results[0]


def sent_through(folder: Path, gateway: RunningGateway, data: list[bytes]) -> list[Path]:
    """The files, once they are in the archive."""
    paths = []
    for number, each in enumerate(data):
        path = folder / f"sent{number}.dcm"
        path.write_bytes(each)
        paths.append(path)
    storescu(gateway.dicom_port, paths)
    gateway.until_metric("sealgate_forwarded_total", len(data), destination="pacs")
    return paths


def comes_back(folder: Path, gateway: RunningGateway, data: list[bytes]) -> None:
    answered = getscu(gateway.dicom_port, folder / "got", "QueryRetrieveLevel=STUDY", study_of(data[0]))
    assert f"Completed Suboperations       : {len(data)}" in answered.text, gateway.log
    came = {dcmread(path).SOPInstanceUID: dcmread(path) for path in (folder / "got").iterdir()}
    assert len(came) == len(data)
    for each in data:
        sent = dcmread(io.BytesIO(each))
        assert came[sent.SOPInstanceUID].PixelData == sent.PixelData
        assert (0x0071, 0x0010) not in came[sent.SOPInstanceUID]


def test_objects_come_by_c_move_to_ourselves(tmp_path: Path) -> None:
    data = objects.series(SLICES, size=64, seed=26)
    with (
        Orthanc(tmp_path / "pacs", settings=OPEN) as pacs,
        with_way_back(
            tmp_path / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve='fetch = "c-move"',
            listener='accept = "any"',
        ) as gateway,
    ):
        us = {"AET": TITLE, "Host": "127.0.0.1", "Port": gateway.dicom_port}
        pacs.request("PUT", "/modalities/us", json.dumps(us).encode())
        paths = sent_through(tmp_path, gateway, data)
        comes_back(tmp_path, gateway, data)
        # Nobody but the archive may store there, and nothing that was not asked for.
        for calling in ("STRANGER", pacs.ae_title):
            with pytest.raises(Exception, match="storescu"):
                storescu(gateway.dicom_port, paths[:1], called=TITLE, calling=calling)


QR_CONFIG = """
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE {folder} RW (500, 1024mb) ANY
AETable END
"""


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's own archive, on this port."""
    (folder / "db").mkdir(parents=True)
    port = free_port()
    (folder / "qr.cfg").write_text(QR_CONFIG.format(port=port, folder=folder / "db"))
    process = Process(
        [str(program("dcmqrscp", "dcmtk")), "-c", str(folder / "qr.cfg")], log=folder / "qr.log"
    )
    process.start()
    try:
        process.wait_until(lambda: echoscu(port, called="ARCHIVE"), what="dcmqrscp")
        yield port
    finally:
        process.stop()


def test_dcmtks_archive_is_asked_as_well(tmp_path: Path) -> None:
    data = objects.series(SLICES, size=64, seed=27)
    with (
        dcmqrscp(tmp_path / "archive") as port,
        with_way_back(
            tmp_path / "gateway",
            DemoDestination(name="pacs", ae_title="ARCHIVE", port=port),
            listener='accept = "any"',
        ) as gateway,
    ):
        sent_through(tmp_path, gateway, data)
        comes_back(tmp_path, gateway, data)


def test_a_policy_that_was_reloaded_holds_for_the_next_request(tmp_path: Path) -> None:
    data = objects.ct(rows=64, columns=64, seed=35)
    question = ("QueryRetrieveLevel=STUDY", study_of(data))
    with (
        Orthanc(tmp_path / "pacs", settings=OPEN) as pacs,
        with_way_back(
            tmp_path / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
        ) as gateway,
    ):
        pacs.upload(data)
        marked = getscu(gateway.dicom_port, tmp_path / "marked", *question)
        assert "Warning Suboperations         : 1" in marked.text
        text = gateway.config.read_text()
        gateway.config.write_text(
            text.replace("[retrieve]", '[retrieve]\npolicy = { unsealed = "withhold" }')
        )
        assert gateway.process is not None and gateway.process.pid is not None
        os.kill(gateway.process.pid, signal.SIGHUP)
        gateway.until_logged('"event": "reloaded"')
        withheld = getscu(gateway.dicom_port, tmp_path / "withheld", *question)
        assert "Failed Suboperations          : 1" in withheld.text
    classes = [dcmread(path).SOPClassUID for path in (tmp_path / "withheld").iterdir()]
    assert CT not in classes
    assert len(classes) == 2
