"""Queries of real viewers, relayed to a real archive: what they get is what the archive says, but for what is ours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import build_context

from gateway.commands.demo.dcmtk import echoscu
from gateway.commands.demo.process import free_port
from gateway.dicom.uids import STUDY_ROOT_FIND
from tests.support import objects
from tests.support.gateway import DemoDestination, RunningGateway
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, TITLE, VIEWER, findscu, with_way_back

PATIENTS = 3


def at(orthanc: Orthanc) -> DemoDestination:
    return DemoDestination(name="pacs", ae_title=orthanc.ae_title, port=orthanc.dicom_port)


def stored(seed: int, number: int = 1) -> bytes:
    return objects.ct(rows=32, columns=32, seed=seed, number=number)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("archive"), settings=OPEN) as orthanc:
        for seed in range(PATIENTS):
            orthanc.upload(stored(seed))
        yield orthanc


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, archive: Orthanc) -> Iterator[RunningGateway]:
    with with_way_back(tmp_path_factory.mktemp("gateway"), at(archive)) as running:
        yield running


def header(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data), stop_before_pixels=True)


def values(text: str, keyword: str) -> list[str]:
    """Of the matches that findscu printed."""
    matches = text.partition("Find Response: 1 ")[2]
    return [value.strip() for value in re.findall(rf"\[([^\]]*)\]\s+#\s+\d+, \d+ {keyword}", matches)]


def question(level: str, **keys: str) -> list[str]:
    return [f"QueryRetrieveLevel={level}", *(f"{key}={value}" for key, value in keys.items())]


def test_all_levels_of_study_root_are_answered(gateway: RunningGateway) -> None:
    one = header(stored(1))
    study, series = str(one.StudyInstanceUID), str(one.SeriesInstanceUID)
    studies = findscu(gateway.dicom_port, *question("STUDY", StudyInstanceUID="", PatientID="SYN-*"))
    assert studies.code == 0
    assert sorted(values(studies.text, "StudyInstanceUID")) == sorted(
        str(header(stored(seed)).StudyInstanceUID) for seed in range(PATIENTS)
    )
    found = findscu(gateway.dicom_port, *question("SERIES", StudyInstanceUID=study, SeriesInstanceUID=""))
    assert values(found.text, "SeriesInstanceUID") == [series]
    found = findscu(
        gateway.dicom_port,
        *question("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=""),
    )
    assert values(found.text, "SOPInstanceUID") == [str(one.SOPInstanceUID)]


def test_patient_root_is_answered_with_the_level_of_patients(gateway: RunningGateway) -> None:
    found = findscu(
        gateway.dicom_port, *question("PATIENT", PatientID="SYN-00002", PatientName=""), options=("-P",)
    )
    assert values(found.text, "PatientID") == ["SYN-00002"], found.text


def test_a_level_that_the_model_does_not_have_is_a_mismatch(gateway: RunningGateway) -> None:
    found = findscu(gateway.dicom_port, *question("PATIENT", PatientID=""))
    assert "DataSetDoesNotMatchSOPClass" in found.text
    found = findscu(gateway.dicom_port, "PatientID=")
    assert "DataSetDoesNotMatchSOPClass" in found.text


def asked(
    port: int, keys: Dataset, *, calling: str = VIEWER, called: str = TITLE
) -> list[tuple[int, Dataset | None]]:
    """Status and match of each response; nothing when the query could not be negotiated."""
    association = AE(ae_title=calling).associate(
        "127.0.0.1", port, [build_context(STUDY_ROOT_FIND, ImplicitVRLittleEndian)], ae_title=called
    )
    if not association.is_established:
        return []
    responses = [
        (int(status.Status), match) for status, match in association.send_c_find(keys, STUDY_ROOT_FIND)
    ]
    association.release()
    return responses


def keys(**elements: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_names_come_in_the_character_set_that_the_archive_says(gateway: RunningGateway) -> None:
    asks = keys(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^*", PatientID="", StudyInstanceUID="")
    matches = [match for _, match in asked(gateway.dicom_port, asks) if match is not None]
    assert len(matches) == PATIENTS
    assert {str(match.PatientName) for match in matches} == {"Müller^Élise"}


def test_only_nodes_with_the_service_may_query_and_only_under_the_title(
    tmp_path: Path, archive: Orthanc
) -> None:
    with with_way_back(
        tmp_path, at(archive), services=("echo", "store"), listener='accept = "any"'
    ) as gateway:
        assert asked(gateway.dicom_port, keys(StudyInstanceUID="")) == []
        assert asked(gateway.dicom_port, keys(StudyInstanceUID=""), calling="STRANGER") == []
        assert gateway.metric("sealgate_contexts_refused_total", node="viewer", service="find") == 1


def test_the_title_of_the_modalities_answers_no_query(gateway: RunningGateway) -> None:
    assert asked(gateway.dicom_port, keys(StudyInstanceUID=""), called="SEALGATE") == []
    assert len(asked(gateway.dicom_port, keys(StudyInstanceUID=""))) == PATIENTS + 1


def test_more_matches_than_allowed_are_not_taken_for_all(tmp_path: Path, archive: Orthanc) -> None:
    with with_way_back(tmp_path, at(archive), retrieve="matches = 2") as gateway:
        responses = asked(gateway.dicom_port, keys(StudyInstanceUID=""))
    assert [status for status, _ in responses] == [0xFF00, 0xFF00, 0xA700]


def test_an_archive_that_is_not_there_is_a_refusal_that_may_pass(tmp_path: Path) -> None:
    nobody = DemoDestination(name="pacs", ae_title="NOBODY", port=free_port())
    with with_way_back(tmp_path, nobody) as gateway:
        assert [status for status, _ in asked(gateway.dicom_port, keys(StudyInstanceUID=""))] == [0xA700]
        assert gateway.metric("sealgate_queries_total", level="STUDY", outcome="failed") == 1
        # The association, and the gateway, go on.
        assert echoscu(gateway.dicom_port, called=TITLE, calling=VIEWER)


class SlowArchive:
    """Answers a query with matches without end, until it is cancelled."""

    def __init__(self, *, most: int = 100_000, private: bool = False, extended: bytes = b"") -> None:
        """extended: what it answers in extended negotiation."""
        self.most, self.private, self.extended = most, private, extended
        self.proposed: list[bytes] = []
        self.cancelled: list[int] = []

    def __enter__(self) -> SlowArchive:
        entity = AE(ae_title="SLOW")
        entity.add_supported_context("1.2.840.10008.1.1")
        server: Any = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            contexts=[build_context(STUDY_ROOT_FIND)],
            evt_handlers=[(evt.EVT_C_FIND, self.find), (evt.EVT_SOP_EXTENDED, self.negotiate)],
        )
        self._server = server
        self.port = int(server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def negotiate(self, event: Any) -> dict[UID, bytes]:
        self.proposed += event.app_info.values()
        return {UID(STUDY_ROOT_FIND): self.extended} if self.extended and event.app_info else {}

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(self.most):
            if event.is_cancelled:
                self.cancelled.append(number)
                yield 0xFE00, None
                return
            match = Dataset()
            match.QueryRetrieveLevel = "STUDY"
            match.StudyInstanceUID = f"1.2.{number}"
            match.RetrieveAETitle = "SLOW"
            if self.private:
                block = match.private_block(0x0071, "SEALGATE", create=True)
                block.add_new(1, "LO", "2")
                match.private_block(0x0071, "OTHER", create=True).add_new(1, "LO", "stays")
            yield 0xFF00, match

    @property
    def destination(self) -> DemoDestination:
        return DemoDestination(name="pacs", ae_title="SLOW", port=self.port)


def test_a_cancelled_query_ends_at_the_archive_as_well(tmp_path: Path) -> None:
    with (
        SlowArchive() as archive,
        with_way_back(tmp_path, archive.destination, retrieve="matches = 1000000") as gateway,
    ):
        found = findscu(
            gateway.dicom_port, *question("STUDY", StudyInstanceUID=""), options=("-S", "--cancel", "5")
        )
        assert "Cancel" in found.text
        gateway.until_metric("sealgate_queries_total", 1, outcome="cancelled")
    assert len(archive.cancelled) == 1
    assert 5 <= archive.cancelled[0] < archive.most


def test_our_private_block_is_in_no_match(tmp_path: Path) -> None:
    with (
        SlowArchive(most=2, private=True) as archive,
        with_way_back(tmp_path, archive.destination) as gateway,
    ):
        matches = [m for _, m in asked(gateway.dicom_port, keys(StudyInstanceUID="")) if m is not None]
    assert len(matches) == 2
    for match in matches:
        creators = [element.value for element in match if element.tag.is_private_creator]
        assert creators == ["OTHER"]
        assert match.private_block(0x0071, "OTHER")[1].value == b"stays "


def test_a_match_leads_to_us_and_not_around_us(tmp_path: Path) -> None:
    with SlowArchive(most=2) as archive, with_way_back(tmp_path, archive.destination) as gateway:
        asks = keys(StudyInstanceUID="", RetrieveAETitle="")
        straight = [m for _, m in asked(archive.port, asks) if m is not None]
        matches = [m for _, m in asked(gateway.dicom_port, asks) if m is not None]
    assert [match.RetrieveAETitle for match in straight] == ["SLOW", "SLOW"]
    assert [match.RetrieveAETitle for match in matches] == [TITLE, TITLE]


def negotiated(port: int, proposal: bytes, *, called: str = TITLE, calling: str = VIEWER) -> dict[str, bytes]:
    """What is accepted of a proposal in extended negotiation; a query follows it."""
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = UID(STUDY_ROOT_FIND)
    item.service_class_application_information = proposal
    association = AE(ae_title=calling).associate(
        "127.0.0.1",
        port,
        [build_context(STUDY_ROOT_FIND, ImplicitVRLittleEndian), build_context("1.2.840.10008.1.1")],
        ae_title=called,
        ext_neg=[item],
    )
    accepted = {str(uid): value for uid, value in association.acceptor.sop_class_extended.items()}
    if accepted:
        assert len(list(association.send_c_find(keys(StudyInstanceUID=""), STUDY_ROOT_FIND))) == 3
    association.release()
    return accepted


def test_relational_queries_are_negotiated_with_the_archive(tmp_path: Path) -> None:
    with (
        SlowArchive(most=2, extended=b"\1\0\0") as archive,
        with_way_back(tmp_path, archive.destination, listener='accept = "any"') as gateway,
    ):
        assert negotiated(gateway.dicom_port, b"\1\1\1") == {STUDY_ROOT_FIND: b"\1\0\0"}
        # Asked once, and what was accepted is proposed with the query.
        assert archive.proposed == [b"\1\1\1", b"\1\0\0"]
        assert negotiated(gateway.dicom_port, b"\1\1\1") == {STUDY_ROOT_FIND: b"\1\0\0"}
        assert archive.proposed == [b"\1\1\1", b"\1\0\0", b"\1\0\0"]
        assert negotiated(gateway.dicom_port, b"\1\1\1", calling="STRANGER") == {}
        assert negotiated(gateway.dicom_port, b"\1\1\1", called="SEALGATE") == {}
        assert len(archive.proposed) == 3


def test_what_the_archive_does_not_answer_is_not_accepted(tmp_path: Path) -> None:
    with SlowArchive(most=2) as archive, with_way_back(tmp_path, archive.destination) as gateway:
        assert negotiated(gateway.dicom_port, b"\1") == {}
        assert archive.proposed == [b"\1"]
