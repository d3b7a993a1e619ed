"""The messages of storage commitment, Push Model (PS3.4 annex J): their data sets, and how they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from gateway.commitment.information import Information
from gateway.dicom.uids import STORAGE_COMMITMENT
from gateway.dimse.requestor import UNCOMPRESSED, Requestor
from gateway.dimse.statuses import NO_SUCH_INSTANCE, PROCESSING_FAILURE, SUCCESS
from gateway.errors import PeerFailed
from gateway.queue.commitments import DeliveryStatus

# SOP class, SOP instance.
InstanceReference = tuple[str, str]

# The well-known SOP instance of the Push Model, PS3.4 J.3.5.
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
# Action type, PS3.4 J.3.2.
REQUEST_COMMITMENT = 1
# Elements of tables J.3-1 and J.3-2.
TRANSACTION_UID, SOP_CLASS, SOP_INSTANCE = 0x00081195, 0x00081150, 0x00081155
COMMITTED, FAILED, FAILURE_REASON = 0x00081199, 0x00081198, 0x00081197
# Event types, PS3.4 J.3.3.
SUCCESSFUL, FAILURES_EXIST = 1, 2
# Failure Reason (0008,1197), PS3.4 J.3.3.1.1 by PS3.3 C.14.1.1.
FAILURE_REASONS = {
    DeliveryStatus.UNKNOWN: NO_SUCH_INSTANCE,
    DeliveryStatus.OPEN: PROCESSING_FAILURE,
    DeliveryStatus.GIVEN_UP: PROCESSING_FAILURE,
}
# For our response to a report to be on its way before the association is released.
RESPONSE_SENT_S = 0.1


@dataclass(frozen=True)
class CommitmentReport:
    """What an archive has reported.

    committed: the SOP Instance UIDs that it keeps.
    failed: SOP Instance UID -> Failure Reason of those that it does not keep.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def build_request(transaction_uid: str, references: Iterable[InstanceReference]) -> Dataset:
    """The action information of an N-ACTION, PS3.4 table J.3-1."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_reference(*reference) for reference in references]
    return information


def read_request(information: Information) -> tuple[str, list[InstanceReference]]:
    """The Transaction UID and the references of an N-ACTION, PS3.4 table J.3-1.

    Raises ValueError, UnreadableObject.
    """
    references = [
        (_valid_uid(item.text(SOP_CLASS)), _valid_uid(item.text(SOP_INSTANCE)))
        for item in information.items(COMMITTED)
    ]
    if not references:
        raise ValueError("no references")
    return _valid_uid(information.text(TRANSACTION_UID)), references


def build_report(
    transaction_uid: str,
    statuses: Sequence[tuple[str, str, DeliveryStatus]],
    not_committed: Mapping[str, int] = MappingProxyType({}),
) -> tuple[int, Dataset]:
    """Event type and event information of an N-EVENT-REPORT, PS3.4 table J.3-2.

    statuses: SOP class, SOP instance and delivery status of each reference; at least one.
    not_committed: SOP instance -> Failure Reason of those that were accepted, but an archive does not commit them.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    committed, failed = [], []
    for sop_class, sop_instance, status in statuses:
        item = _reference(sop_class, sop_instance)
        reason = (
            not_committed.get(sop_instance) if status is DeliveryStatus.ACCEPTED else FAILURE_REASONS[status]
        )
        if reason is None:
            committed.append(item)
        else:
            item.FailureReason = reason
            failed.append(item)
    if committed:
        information.ReferencedSOPSequence = committed
    if failed:
        information.FailedSOPSequence = failed
    return (FAILURES_EXIST if failed else SUCCESSFUL), information


def read_report(information: Information) -> CommitmentReport:
    """The event information of an N-EVENT-REPORT, PS3.4 table J.3-2.

    Raises ValueError, UnreadableObject.
    """
    return CommitmentReport(
        transaction_uid=_valid_uid(information.text(TRANSACTION_UID)),
        committed=frozenset(_valid_uid(item.text(SOP_INSTANCE)) for item in information.items(COMMITTED)),
        failed={
            _valid_uid(item.text(SOP_INSTANCE)): item.number(FAILURE_REASON) or PROCESSING_FAILURE
            for item in information.items(FAILED)
        },
    )


def send_request(
    requestor: Requestor,
    information: Dataset,
    *,
    on_event_report: Callable[[evt.Event], int],
    wait: Callable[[], object],
) -> None:
    """Send an N-ACTION, as SCU of storage commitment, on an association of its own (PS3.4 J.3.2).

    information: of `build_request`.
    on_event_report: gets an N-EVENT-REPORT that comes on the same association, and returns the DIMSE status.
    wait: waits for that; the association is released afterwards.
    Raises PeerUnreachable when there is no association.
    Raises PeerFailed when the peer does not take the request.
    """
    handlers = [(evt.EVT_N_EVENT_REPORT, lambda event: (on_event_report(event), None))]
    with requestor.associated(_contexts(), handlers=handlers) as association:
        status, _ = association.send_n_action(
            information, REQUEST_COMMITMENT, UID(STORAGE_COMMITMENT), UID(COMMITMENT_INSTANCE)
        )
        if status.get("Status") != SUCCESS:
            raise PeerFailed(f"{requestor.destination.name} did not take the request of storage commitment")
        wait()
        time.sleep(RESPONSE_SENT_S)


def send_report(requestor: Requestor, event_type: int, information: Dataset) -> None:
    """Send an N-EVENT-REPORT, as SCP of storage commitment, on an association of its own (PS3.4 J.3.3).

    event_type, information: of `build_report`.
    Raises PeerUnreachable when there is no association.
    Raises PeerFailed when the peer does not take the report.
    """
    name = requestor.destination.name
    with requestor.associated(_contexts(), as_scp=STORAGE_COMMITMENT) as association:
        try:
            status, _ = association.send_n_event_report(
                information, event_type, UID(STORAGE_COMMITMENT), UID(COMMITMENT_INSTANCE)
            )
        except ValueError as error:
            raise PeerFailed(f"{name} does not take reports of storage commitment") from error
    if status.get("Status") != SUCCESS:
        raise PeerFailed(f"{name} did not take the report of storage commitment")


def _contexts() -> list[tuple[str, str]]:
    return [(STORAGE_COMMITMENT, syntax) for syntax in UNCOMPRESSED]


def _reference(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _valid_uid(value: object) -> str:
    uid = UID(str(value))
    if not uid.is_valid:
        raise ValueError("not a UID")
    return str(uid)
