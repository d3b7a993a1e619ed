"""Identifiers of queries: read within limits, handed on as they are, free of what is ours."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, Encoding, encode
from gateway.dicom.uids import PATIENT_ROOT_GET, STUDY_ROOT_FIND
from gateway.retrieve.identifier import (
    PATIENT_ID,
    QUERY_LEVEL,
    RETRIEVE_AE_TITLE,
    SERIES,
    STUDY,
    Identifier,
    QueryLevel,
    WrongIdentifier,
    failed_instances,
    in_encoding,
    match_for,
    written,
)

ENCODINGS = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
NAME = "Müller^Élise".encode("latin-1")


def parsed(data: bytes, encoding: Encoding) -> Dataset:
    return read_dataset(io.BytesIO(data), not encoding.explicit, encoding.little)


def question(encoding: Encoding = EXPLICIT_LE, level: bytes = b"STUDY") -> bytes:
    return (
        encode(0x00080005, b"CS", b"ISO_IR 100", encoding)
        + encode(QUERY_LEVEL, b"CS", level, encoding)
        + encode(0x00100010, b"PN", NAME, encoding)
        + encode(STUDY, b"UI", b"1.2.3\\1.2.4", encoding)
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_keys_are_read_in_every_encoding(encoding: Encoding) -> None:
    identifier = Identifier.read(question(encoding), encoding)
    assert identifier.level(STUDY_ROOT_FIND) is QueryLevel.STUDY
    assert identifier.uids(STUDY) == ["1.2.3", "1.2.4"]
    assert identifier.uids(SERIES) == []
    assert identifier.value(0x00100010) == NAME


@pytest.mark.parametrize("target", ENCODINGS)
@pytest.mark.parametrize("source", ENCODINGS)
def test_another_encoding_changes_no_text(source: Encoding, target: Encoding) -> None:
    assert in_encoding(question(source), source, target) == question(target)


def test_the_level_of_patients_belongs_to_the_patient_root() -> None:
    identifier = Identifier.read(question(level=b"PATIENT"), EXPLICIT_LE)
    assert identifier.level(PATIENT_ROOT_GET) is QueryLevel.PATIENT
    with pytest.raises(WrongIdentifier):
        identifier.level(STUDY_ROOT_FIND)


@pytest.mark.parametrize("level", [b"", b"FRAME", b"study"])
def test_a_level_that_nobody_knows_is_refused(level: bytes) -> None:
    with pytest.raises(WrongIdentifier):
        Identifier.read(question(level=level), EXPLICIT_LE).level(STUDY_ROOT_FIND)


@given(st.binary(max_size=200), st.sampled_from(ENCODINGS), st.sampled_from(ENCODINGS))
def test_whatever_comes_is_read_or_refused(data: bytes, source: Encoding, target: Encoding) -> None:
    try:
        Identifier.read(data, source).written(target)
        match_for(data, source, target, ae_title="US")
    except WrongIdentifier:
        return


def test_a_match_without_our_block_keeps_the_blocks_of_others() -> None:
    match = Dataset()
    match.QueryRetrieveLevel, match.RetrieveAETitle, match.RetrieveURL = "STUDY", "PACS", "http://pacs/study"
    for creator in ("OTHER", "SEALGATE", "THIRD"):
        block = match.private_block(0x0071, creator, create=True)
        block.add_new(1, "LO", creator)
        block.add_new(2, "OB", b"\0\1")
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, match)
    answer = parsed(match_for(out.getvalue(), EXPLICIT_LE, IMPLICIT_LE, ae_title="SEALVIEW"), IMPLICIT_LE)
    creators = [str(element.value) for element in answer if element.tag.is_private_creator]
    assert creators == ["OTHER", "THIRD"]
    assert answer.RetrieveAETitle == "SEALVIEW"
    assert "RetrieveURL" not in answer
    assert b"SEALGATE" not in match_for(out.getvalue(), EXPLICIT_LE, EXPLICIT_LE, ae_title="US")


def test_a_match_that_names_no_title_gets_none() -> None:
    answer = match_for(question(), EXPLICIT_LE, EXPLICIT_LE, ae_title="US")
    assert RETRIEVE_AE_TITLE not in Identifier.read(answer, EXPLICIT_LE).elements
    assert answer == question()


def test_an_identifier_of_ours_is_in_the_order_of_tags() -> None:
    data = parsed(
        written(QueryLevel.SERIES, {STUDY: b"1.2", SERIES: b"", PATIENT_ID: b"X"}, IMPLICIT_LE), IMPLICIT_LE
    )
    assert [element.keyword for element in data] == [
        "QueryRetrieveLevel",
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ]


def test_failed_instances_are_listed_as_far_as_one_element_reaches() -> None:
    uids = [f"1.2.{10**50 + number}" for number in range(2000)]
    told = parsed(failed_instances(uids, EXPLICIT_LE), EXPLICIT_LE).FailedSOPInstanceUIDList
    assert 1000 < len(told) < 2000
    assert list(told) == uids[: len(told)]
    assert parsed(failed_instances(uids[:1], IMPLICIT_LE), IMPLICIT_LE).FailedSOPInstanceUIDList == uids[0]
    assert failed_instances([], EXPLICIT_LE) == b""
