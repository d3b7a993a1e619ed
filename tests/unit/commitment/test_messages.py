"""The data sets of storage commitment: what is built is read again, and what is damaged is refused."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from gateway.commitment.information import REFERENCES_MAX, Information
from gateway.commitment.messages import (
    FAILURES_EXIST,
    SUCCESSFUL,
    build_report,
    build_request,
    read_report,
    read_request,
)
from gateway.queue.commitments import DeliveryStatus

CT = "1.2.840.10008.5.1.4.1.1.2"
STATUSES = [
    (CT, "1.1", DeliveryStatus.ACCEPTED),
    (CT, "1.2", DeliveryStatus.UNKNOWN),
    (CT, "1.3", DeliveryStatus.OPEN),
    (CT, "1.4", DeliveryStatus.GIVEN_UP),
]


def received(dataset: Dataset, syntax: str = ImplicitVRLittleEndian) -> Information:
    encoded = encode(dataset, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    assert encoded is not None
    return Information.received(BytesIO(encoded), syntax)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_request_that_was_built_is_read_again(syntax: str, undefined: bool) -> None:
    references = [(CT, "1.1"), (CT, "1.2")]
    request = build_request("2.25.7", references)
    request["ReferencedSOPSequence"].is_undefined_length = undefined
    assert read_request(received(request, syntax)) == ("2.25.7", references)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("TransactionUID", ""), ("ReferencedSOPSequence", [])],
)
def test_a_damaged_request_is_refused(keyword: str, value: object) -> None:
    information = build_request("2.25.7", [(CT, "1.1")])
    setattr(information, keyword, value)
    with pytest.raises(ValueError, match=r"UID|references"):
        read_request(received(information))


def test_a_request_without_a_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no references"):
        read_request(Information.received(None, ImplicitVRLittleEndian))


def test_a_request_with_too_many_references_is_refused_before_they_are_read() -> None:
    item = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
    count = REFERENCES_MAX + 1
    head = b"\x08\x00\x99\x11" + (count * len(item)).to_bytes(4, "little")
    with pytest.raises(ValueError, match="too many"):
        read_request(Information.received(BytesIO(head + item * count), ImplicitVRLittleEndian))


def test_a_report_names_what_failed_and_why() -> None:
    event_type, information = build_report("2.25.7", STATUSES)
    report = read_report(received(information))
    assert event_type == FAILURES_EXIST
    assert report.transaction_uid == "2.25.7"
    assert report.committed == {"1.1"}
    assert report.failed == {"1.2": 0x0112, "1.3": 0x0110, "1.4": 0x0110}


def test_a_report_of_success_has_no_failures() -> None:
    event_type, information = build_report("2.25.7", STATUSES[:1])
    assert event_type == SUCCESSFUL
    assert "FailedSOPSequence" not in information


def test_an_archive_that_does_not_commit_counts_where_the_instance_was_accepted() -> None:
    event_type, information = build_report("2.25.7", STATUSES[:2], {"1.1": 0x0213, "1.2": 0x0213})
    assert event_type == FAILURES_EXIST
    assert "ReferencedSOPSequence" not in information
    assert read_report(received(information)).failed == {"1.1": 0x0213, "1.2": 0x0112}
