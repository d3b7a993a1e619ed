"""What is sent for which Accept, and which query is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.retrieve.identifier import QueryLevel
from gateway.web.dicomweb.negotiation import Chosen, accepted, of_frames, of_instances
from gateway.web.dicomweb.query import parsed
from gateway.web.errors import BadRequest, NotAcceptable

EXPLICIT, JPEG_LS, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.50"
OCTETS, DICOM = "application/octet-stream", "application/dicom"


def asking(accept: str | None, query: str = "") -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("accept", "stored", "chosen"),
    [
        ('multipart/related; type="application/octet-stream"; transfer-syntax=*', JPEG_LS,
         Chosen(OCTETS, True, True, JPEG_LS)),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", EXPLICIT,
         Chosen(OCTETS, True, True, EXPLICIT)),
        ('multipart/related; type="application/octet-stream"', JPEG_LS, Chosen(OCTETS, True, False, EXPLICIT)),
        ('multipart/related; type="image/jls"', JPEG_LS, Chosen("image/jls", True, True, JPEG_LS)),
        (f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG}', JPEG,
         Chosen("image/jpeg", True, True, JPEG)),
        ('multipart/related; type="image/jpeg", multipart/related; type="application/octet-stream"; q=0.5', JPEG_LS,
         Chosen(OCTETS, True, False, EXPLICIT)),
        ("application/octet-stream", "1.2.840.10008.1.2", Chosen(OCTETS, False, True, EXPLICIT)),
        (None, JPEG_LS, Chosen(OCTETS, True, False, EXPLICIT)),
    ],
)  # fmt: skip
def test_frames_come_as_they_are_asked_for(accept: str | None, stored: str, chosen: Chosen) -> None:
    assert of_frames(asking(accept), stored, single=True) == chosen


@pytest.mark.parametrize("accept", ["image/gif", 'multipart/related; type="image/jp2"', "image/jpeg; q=0"])
def test_frames_in_no_accepted_type_are_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        of_frames(asking(accept), JPEG_LS, single=True)


def test_several_objects_need_parts() -> None:
    assert of_instances(asking(DICOM), single=True) == Chosen(DICOM, False, False, "")
    with pytest.raises(NotAcceptable):
        of_instances(asking(DICOM), single=False)
    assert of_instances(asking("*/*"), single=False) == Chosen(DICOM, True, False, "")


def test_the_query_goes_before_the_header() -> None:
    (only,) = accepted(asking("text/html", "accept=application/dicom+json"))
    assert only.media_type == "application/dicom+json"


@given(st.text(max_size=60))
def test_any_header_is_parsed_or_refused(accept: str) -> None:
    try:
        accepted(asking(accept.encode("utf-8", "replace").decode("latin-1")))
    except BadRequest:
        return


def keys(level: QueryLevel, *parameters: tuple[str, str], **path: str) -> dict[int, bytes]:
    question = parsed(level, list(parameters), path).question
    return {tag: value for tag, (_, value) in question.keys.items() if value}


def test_attributes_are_named_by_keyword_or_tag() -> None:
    found = keys(QueryLevel.STUDY, ("PatientID", "1*"), ("00080020", "20260101-20261231"))
    assert found == {0x00100020: b"1*", 0x00080020: b"20260101-20261231"}


def test_lists_of_uids_become_those_of_dimse() -> None:
    assert keys(QueryLevel.STUDY, ("StudyInstanceUID", "1.2,1.3")) == {0x0020000D: b"1.2\\1.3"}


def test_the_address_goes_before_the_query() -> None:
    found = keys(QueryLevel.SERIES, ("StudyInstanceUID", "1.9"), study="1.2")
    assert found == {0x0020000D: b"1.2"}


def test_a_question_without_the_uids_above_is_relational() -> None:
    assert parsed(QueryLevel.IMAGE, [], {}).question.is_relational
    assert not parsed(QueryLevel.IMAGE, [], {"study": "1", "series": "2"}).question.is_relational


@pytest.mark.parametrize(
    ("name", "value"),
    [("Nonsense", "1"), ("PatientID.PatientName", "1"), ("PixelData", "1"), ("limit", "-1"), ("offset", "²"),
     ("StudyInstanceUID", "1.2.*"), ("StudyDate", "2026"), ("PatientName", "a\x00b"), ("includefield", "Nonsense"),
     ("00020010", "1"), ("emptyvaluematching", "true"), ("PatientName", "x" * 5000)],
)  # fmt: skip
def test_what_can_not_be_asked_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadRequest):
        parsed(QueryLevel.STUDY, [(name, value)], {})
