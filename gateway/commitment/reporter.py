"""Storage commitment, Push Model (PS3.4 annex J), towards modalities.

A modality asks with N-ACTION whether it may delete what it sent. It is answered with N-EVENT-REPORT, on an association
of ours, once every destination has every instance it named (and has committed, where `destination.commitment` asks for
that), or when that has taken too long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from gateway.commitment.scu import CommitmentUser
from gateway.config import Config, Destination
from gateway.dimse.listener import AssociationState
from gateway.dimse.statuses import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_INSTANCE,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
)
from gateway.dimse.store_scu import COMMITMENT_INSTANCE, REQUEST_COMMITMENT, Sender
from gateway.errors import (
    GatewayError,
    KeyFileError,
    PeerError,
    ResourceError,
)
from gateway.observe import Log, Metrics, log_error, where
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue.commitments import CommitmentOutcome, CommitmentRequest, DeliveryStatus, Reference
from gateway.queue.sqlite.commitments import Commitments
from gateway.runtime.backoff import delay_s
from gateway.runtime.loop import Next, WorkLoop
from gateway.runtime.wakeup import Wakeup

SUCCESSFUL, FAILURES_EXIST = 1, 2  # event types, PS3.4 J.3.3
REFERENCES_MAX = 100_000
# Failure Reason (0008,1197), PS3.4 J.3.3.1.1 by PS3.3 C.14.1.1
REASONS = {
    DeliveryStatus.UNKNOWN: NO_SUCH_INSTANCE,
    DeliveryStatus.OPEN: PROCESSING_FAILURE,
    DeliveryStatus.GIVEN_UP: PROCESSING_FAILURE,
}
LOOK_AGAIN_S = 1.0
LOOK_MOST_S = 60.0  # between two looks at a request that waits for deliveries
AGE_PART = 0.1  # of its age, until it is looked at again
REPORT_FIRST_S, REPORT_MOST_S = 5.0, 900.0
HOUR_S = 3600.0


class CommitmentProvider:
    """Answers N-ACTION in the association's thread. config: the one in force, asked for each request."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        commitments: Commitments,
        pseudonyms: Pseudonyms,
        metrics: Metrics,
        log: Log,
        asked: Wakeup,
    ) -> None:
        self._config = config
        self._commitments = commitments
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._log = log
        self._asked = asked

    def ask(self, event: Any, link: AssociationState) -> int:
        """The DIMSE status (PS3.7 10.1.4): 0000 only when the request is durable. A repeated one changes nothing."""
        request, primitive = event.request, event.assoc.requestor.primitive
        calling = str(primitive.calling_ae_title).strip()
        if str(request.RequestedSOPInstanceUID) != COMMITMENT_INSTANCE:
            return NO_SUCH_INSTANCE
        if request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if address(self._config(), calling) is None:
            hint = "Give its [[node]] a report_to that names the [[destination]] of the requester."
            self._log.warning("commitment refused", peer=link.peer, calling=calling, hint=hint)
            return PROCESSING_FAILURE
        try:
            uid, references = self._read(event.action_information)
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke
            self._log.warning("commitment refused", peer=link.peer, calling=calling, problem=where(error))
            return INVALID_ARGUMENT
        try:
            fresh = self._commitments.put(
                transaction_uid=uid,
                calling=calling,
                called=str(primitive.called_ae_title).strip(),
                references=references,
            )
        except ResourceError as error:
            self._log.error("commitment not durable", code=error.code, problem=str(error))
            return OUT_OF_RESOURCES
        if fresh:
            self._metrics.count("sealgate_commitment_requests_total", calling=calling)
            self._log.info("commitment requested", calling=calling, instances=len(references))
        self._asked.notify()
        return SUCCESS

    def _read(self, information: Dataset) -> tuple[str, list[Reference]]:
        """Transaction UID and references. Raises ValueError, AttributeError."""
        items = information.ReferencedSOPSequence
        if not 0 < len(items) <= REFERENCES_MAX:
            raise ValueError("no or too many references")
        references = [
            Reference(
                sop_class=_uid(item.ReferencedSOPClassUID),
                sop_instance=_uid(item.ReferencedSOPInstanceUID),
                pseudonym=self._pseudonyms.of(str(item.ReferencedSOPInstanceUID)),
            )
            for item in items
        ]
        return _uid(information.TransactionUID), references


def _uid(value: object) -> str:
    uid = UID(str(value))
    if not uid.is_valid:
        raise ValueError("not a UID")
    return str(uid)


def address(config: Config, calling: str) -> Destination | None:
    """Where reports for this requester go."""
    named = [node.report_to for node in config.node if node.ae_title == calling and node.report_to]
    return config.destination_named(named[0]) if named else None


def report(
    transaction_uid: str,
    standings: Sequence[tuple[str, str, DeliveryStatus]],
    not_committed: Mapping[str, int] = MappingProxyType({}),
) -> tuple[int, Dataset]:
    """Event type and information of the N-EVENT-REPORT, PS3.4 table J.3-2.

    standings: SOP class, SOP instance and standing of each reference; at least one. not_committed: the Failure Reason
    of SOP instances that were accepted, and that an archive does not commit.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    committed, failed = [], []
    for sop_class, sop_instance, standing in standings:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        reason = not_committed.get(sop_instance) if standing is DeliveryStatus.ACCEPTED else REASONS[standing]
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


class Reporter(threading.Thread):
    """Looks how open requests stand and reports those that are decided. What it knows is in the queue's file."""

    def __init__(
        self,
        *,
        config: Config,
        commitments: Commitments,
        user: CommitmentUser,
        asked: Wakeup,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """user: outlives this thread, with what archives have answered."""
        super().__init__(name="commitment", daemon=True)
        self._config = config
        self._commitments = commitments
        self._user = user
        self._asked = asked
        self._metrics = metrics
        self._log = log
        self._loop = WorkLoop(
            asked,
            wait_s=LOOK_AGAIN_S,
            pause_s=LOOK_AGAIN_S,
            on_error=log_error(log, "commitment interrupted"),
        )

    def stop(self) -> None:
        self._loop.stop()

    def run(self) -> None:
        self._loop.run(self._turn)

    def _turn(self) -> Next:
        self._work_off()
        return Next.WAIT

    def _work_off(self) -> None:
        """Raises ResourceError."""
        silent: set[str] = set()  # requesters that could not be reached this time
        for request in self._commitments.due():
            if self._loop.is_stopping:
                return
            if request.calling in silent:
                self._commitments.later(request, delay_s=REPORT_FIRST_S, attempted=False)
            elif not self._settle(request):
                silent.add(request.calling)

    def _settle(self, request: CommitmentRequest) -> bool:
        """False when the requester could not be told. Raises ResourceError."""
        age_s = self._commitments.now() - request.requested_at
        terms = self._config.commitment
        standings = self._commitments.standings(request)
        late = age_s > terms.wait_hours * HOUR_S
        waits = any(standing is DeliveryStatus.OPEN for _, _, standing in standings)
        not_committed = {} if waits and not late else self._not_committed(request, late=late)
        if not late and (waits or not_committed is None):
            wait_s = min(LOOK_MOST_S, max(LOOK_AGAIN_S, age_s * AGE_PART))
            self._commitments.later(request, delay_s=wait_s, attempted=False)
            return True
        kind, information = report(request.transaction_uid, standings, not_committed or {})
        try:
            self._send(request, kind, information)
        except (PeerError, KeyFileError) as error:
            self._failed(request, error, given_up=age_s > (terms.wait_hours + terms.report_hours) * HOUR_S)
            return False
        ending = CommitmentOutcome.COMMITTED if kind == SUCCESSFUL else CommitmentOutcome.FAILED
        self._end(request, ending, failed=len(information.get("FailedSOPSequence", [])))
        return True

    def _not_committed(self, request: CommitmentRequest, *, late: bool) -> dict[str, int] | None:
        """Failure Reasons by the archives that are asked; None while one has not answered and it is not `late`.

        Raises ResourceError.
        """
        reasons: dict[str, int] = {}
        answered = True
        for name, references in self._commitments.held(request).items():
            destination = self._config.destination_named(name)
            if destination is None or not destination.commitment:
                continue
            failures = self._user.failures(request.id, destination, references, self._config)
            if failures is None and late:
                failures = {instance: PROCESSING_FAILURE for _, instance in references}
            answered = answered and failures is not None
            reasons |= failures or {}
        return reasons if answered else None

    def _send(self, request: CommitmentRequest, kind: int, information: Dataset) -> None:
        """Raises PeerError, KeyFileError (TLS)."""
        destination = address(self._config, request.calling)
        if destination is None:
            raise PeerError("no node with this AE title has a report_to any more", hint="Give it one.")
        Sender(destination, self._config.limits, calling=request.called).report(kind, information)

    def _failed(self, request: CommitmentRequest, error: GatewayError, *, given_up: bool) -> None:
        self._log.warning(
            "commitment not reported",
            calling=request.calling,
            attempts=request.attempts + 1,
            code=error.code,
            problem=str(error),
            hint=error.hint,
        )
        if given_up:
            self._end(request, CommitmentOutcome.UNREPORTED)
            return
        wait_s = delay_s(request.attempts + 1, first_s=REPORT_FIRST_S, most_s=REPORT_MOST_S)
        self._commitments.later(request, delay_s=wait_s, attempted=True)

    def _end(self, request: CommitmentRequest, ending: CommitmentOutcome, *, failed: int = 0) -> None:
        self._commitments.end(request, ending)
        self._user.forget(request.id)
        self._metrics.count("sealgate_commitments_total", outcome=str(ending))
        level = self._log.info if ending is CommitmentOutcome.COMMITTED else self._log.warning
        level("commitment ended", calling=request.calling, outcome=str(ending), failed=failed)
