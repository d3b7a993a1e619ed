"""Storage commitment, Push Model (PS3.4 annex J), towards modalities: reports on the requests that were written down.

A modality asks with N-ACTION whether it may delete what it sent. The answer is an N-EVENT-REPORT, on an association
that we open. It is sent once every destination has every instance that the request names, and has committed it where
`destination.commitment` asks for that; or when this has taken too long.
"""

from __future__ import annotations

import threading

from pydicom.dataset import Dataset

from gateway.commitment.messages import SUCCESSFUL, build_report, send_report
from gateway.commitment.scu import CommitmentUser
from gateway.config import Config, Destination
from gateway.dimse.requestor import Requestor
from gateway.dimse.statuses import PROCESSING_FAILURE
from gateway.errors import (
    GatewayError,
    KeyFileError,
    PeerError,
)
from gateway.observe import Log, Metrics, log_error
from gateway.queue.commitments import CommitmentOutcome, CommitmentRequest, Commitments, DeliveryStatus
from gateway.runtime.backoff import delay_s
from gateway.runtime.loop import Next, WorkLoop
from gateway.runtime.wakeup import Wakeup

LOOK_AGAIN_S = 1.0
# The longest time between two looks at a request that waits for deliveries.
LOOK_MOST_S = 60.0
# A request is looked at again after this part of its age.
AGE_PART = 0.1
REPORT_FIRST_S, REPORT_MOST_S = 5.0, 900.0
HOUR_S = 3600.0


def report_destination(config: Config, calling: str) -> Destination | None:
    """The destination that gets the reports for a requester.

    calling: the AE title of the requester.
    Returns None when no node of this title has a `report_to`.
    """
    names = [node.report_to for node in config.node if node.ae_title == calling and node.report_to]
    return config.destination_named(names[0]) if names else None


class Reporter(threading.Thread):
    """Looks at open requests, and reports on those that are decided. All that it knows is in the queue's file."""

    def __init__(
        self,
        *,
        config: Config,
        commitments: Commitments,
        user: CommitmentUser,
        asked: Wakeup,
        metrics: Metrics,
        log: Log,
        gateway_id: str = "",
    ) -> None:
        """user: outlives this thread, with the answers of archives.

        asked: is notified of each request and of each answer.
        gateway_id: as which we open associations.
        """
        super().__init__(name="commitment", daemon=True)
        self._config = config
        self._commitments = commitments
        self._user = user
        self._asked, self._gateway_id = asked, gateway_id
        self._metrics = metrics
        self._log = log
        self._loop = WorkLoop(
            asked,
            wait_s=LOOK_AGAIN_S,
            pause_s=LOOK_AGAIN_S,
            on_error=log_error(log, "commitment interrupted"),
        )

    def stop(self) -> None:
        """End the thread after the request in hand."""
        self._loop.stop()

    def run(self) -> None:
        self._loop.run(self._turn)

    def _turn(self) -> Next:
        self._work_off()
        return Next.WAIT

    def _work_off(self) -> None:
        """Raises ResourceError."""
        # Requesters that could not be reached this time.
        silent: set[str] = set()
        for request in self._commitments.due():
            if self._loop.is_stopping:
                return
            if request.calling in silent:
                self._commitments.postpone(request, delay_s=REPORT_FIRST_S, attempted=False)
            elif not self._settle(request):
                silent.add(request.calling)

    def _settle(self, request: CommitmentRequest) -> bool:
        """Report on the request, or postpone it. False when the requester could not be reached.

        Raises ResourceError.
        """
        age_s = self._commitments.now() - request.requested_at
        terms = self._config.commitment
        statuses = self._commitments.delivery_statuses(request)
        late = age_s > terms.wait_hours * HOUR_S
        waits = any(status is DeliveryStatus.OPEN for _, _, status in statuses)
        not_committed = {} if waits and not late else self._not_committed(request, late=late)
        if not late and (waits or not_committed is None):
            wait_s = min(LOOK_MOST_S, max(LOOK_AGAIN_S, age_s * AGE_PART))
            self._commitments.postpone(request, delay_s=wait_s, attempted=False)
            return True
        event_type, information = build_report(request.transaction_uid, statuses, not_committed or {})
        try:
            self._send(request, event_type, information)
        except (PeerError, KeyFileError) as error:
            self._failed(request, error, given_up=age_s > (terms.wait_hours + terms.report_hours) * HOUR_S)
            return False
        outcome = CommitmentOutcome.COMMITTED if event_type == SUCCESSFUL else CommitmentOutcome.FAILED
        self._end(request, outcome, failed=len(information.get("FailedSOPSequence", [])))
        return True

    def _not_committed(self, request: CommitmentRequest, *, late: bool) -> dict[str, int] | None:
        """What the archives that are asked do not commit: SOP Instance UID -> Failure Reason.

        late: archives that have not answered are not waited for; what they hold counts as failed.
        Returns None while an archive has not answered and it is not `late`.
        Raises ResourceError.
        """
        reasons: dict[str, int] = {}
        answered = True
        for name, references in self._commitments.delivered_to(request).items():
            destination = self._config.destination_named(name)
            if destination is None or not destination.commitment:
                continue
            failures = self._user.failures(request.id, destination, references, self._config)
            if failures is None and late:
                failures = {instance: PROCESSING_FAILURE for _, instance in references}
            answered = answered and failures is not None
            reasons |= failures or {}
        return reasons if answered else None

    def _send(self, request: CommitmentRequest, event_type: int, information: Dataset) -> None:
        """Raises PeerError, and KeyFileError (TLS)."""
        destination = report_destination(self._config, request.calling)
        if destination is None:
            raise PeerError("no node with this AE title has a report_to any more", hint="Give it one.")
        requestor = Requestor(
            destination, self._config.limits, calling=request.called, gateway_id=self._gateway_id
        )
        send_report(requestor, event_type, information)

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
        self._commitments.postpone(request, delay_s=wait_s, attempted=True)

    def _end(self, request: CommitmentRequest, outcome: CommitmentOutcome, *, failed: int = 0) -> None:
        self._commitments.end(request, outcome)
        self._user.forget(request.id)
        self._metrics.count("sealgate_commitments_total", outcome=str(outcome))
        level = self._log.info if outcome is CommitmentOutcome.COMMITTED else self._log.warning
        level("commitment ended", calling=request.calling, outcome=str(outcome), failed=failed)
