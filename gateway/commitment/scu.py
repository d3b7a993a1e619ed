"""Storage commitment, Push Model (PS3.4 annex J), as its user: archives are asked whether they keep what they took.

Answers are held in memory only. After a restart, or when no answer came in time, the archive is asked again, under a
new Transaction UID.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from gateway.commitment.information import Information
from gateway.commitment.messages import (
    CommitmentReport,
    InstanceReference,
    build_request,
    read_report,
    send_request,
)
from gateway.config import Config, Destination
from gateway.dimse.association import AssociationState
from gateway.dimse.requestor import Requestor
from gateway.dimse.statuses import INVALID_ARGUMENT, PROCESSING_FAILURE, SUCCESS
from gateway.errors import KeyFileError, PeerError, UnreadableObject
from gateway.observe import Log, Metrics, where
from gateway.runtime.backoff import delay_s
from gateway.runtime.wakeup import Wakeup

# For an answer on the association of the question; later answers come on another one.
SAME_ASSOCIATION_S = 2.0
# Between questions to an archive that can't be reached, or refuses them.
AGAIN_FIRST_S, AGAIN_MOST_S = 5.0, 900.0
MINUTE_S = 60.0

# The request that depends on the answer, and the name of the destination.
QuestionKey = tuple[int, str]


@dataclass(eq=False)
class Question:
    """What one archive was asked for one request.

    instances: the SOP Instance UIDs that it was asked about.
    transaction_uid: of the last time that it was asked, empty before.
    again_at: when it may be asked again, by time.monotonic().
    attempts: how often it was asked.
    answered: set once it has answered.
    failed: SOP Instance UID -> Failure Reason (PS3.3 C.14.1.1) of what it does not commit, once it has answered.
    """

    destination: Destination
    instances: frozenset[str]
    transaction_uid: str = ""
    again_at: float = 0.0
    attempts: int = 0
    answered: threading.Event = field(default_factory=threading.Event)
    failed: dict[str, int] = field(default_factory=dict)


class CommitmentUser:
    """`failures` is for one thread; `on_event_report` runs in association threads."""

    def __init__(self, *, metrics: Metrics, log: Log, answered: Wakeup, gateway_id: str = "") -> None:
        """answered: is notified of each answer.

        gateway_id: as which we open associations.
        """
        self._gateway_id = gateway_id
        self._metrics = metrics
        self._log = log
        self._answered = answered
        self._questions: dict[QuestionKey, Question] = {}
        self._lock, self._reading = threading.Lock(), threading.Lock()

    def failures(
        self,
        request: int,
        destination: Destination,
        references: Sequence[InstanceReference],
        config: Config,
    ) -> dict[str, int] | None:
        """Which instances an archive does not commit; asks the archive when that is due, and waits a moment.

        request: the id of the modality's request.
        destination: the archive.
        references: what the archive was sent.
        Returns SOP Instance UID -> Failure Reason; None until the archive has answered.
        """
        key = (request, destination.name)
        instances = frozenset(sop_instance for _, sop_instance in references)
        question = self._questions.get(key)
        if question is None or question.instances != instances:
            question = Question(destination, instances)
        if not question.answered.is_set() and time.monotonic() >= question.again_at:
            # A reload may have changed its address since.
            question.destination = destination
            self._ask(key, question, references, config)
        return question.failed if question.answered.is_set() else None

    def forget(self, request: int) -> None:
        """The request with this id has ended."""
        with self._lock:
            for key in [key for key in self._questions if key[0] == request]:
                del self._questions[key]

    def on_event_report(self, event: evt.Event, state: AssociationState) -> int:
        """The DIMSE status of an N-EVENT-REPORT on an association that the archive opened."""
        return self._take(event, peer=state.peer, calling=state.calling)

    def _ask(
        self,
        key: QuestionKey,
        question: Question,
        references: Sequence[InstanceReference],
        config: Config,
    ) -> None:
        destination = question.destination
        if question.attempts:
            self._metrics.count(
                "sealgate_archive_commitments_total", destination=destination.name, outcome="unanswered"
            )
        # Random, so that nobody else can guess it.
        question.transaction_uid = generate_uid(prefix=None)
        question.attempts += 1
        with self._lock:
            self._questions[key] = question
        try:
            send_request(
                Requestor(
                    destination,
                    config.limits,
                    calling=config.listener.ae_title,
                    gateway_id=self._gateway_id,
                ),
                build_request(question.transaction_uid, references),
                on_event_report=lambda event: self._take(
                    event, peer=destination.host, calling=destination.ae_title
                ),
                wait=lambda: question.answered.wait(SAME_ASSOCIATION_S),
            )
        except (PeerError, KeyFileError) as error:
            wait_s = delay_s(question.attempts, first_s=AGAIN_FIRST_S, most_s=AGAIN_MOST_S)
            self._log.warning(
                "commitment not asked",
                destination=destination.name,
                code=error.code,
                problem=str(error),
                hint=error.hint,
            )
        else:
            wait_s = config.commitment.answer_minutes * MINUTE_S
        question.again_at = time.monotonic() + wait_s

    def _take(self, event: evt.Event, *, peer: str, calling: str) -> int:
        request = cast(N_EVENT_REPORT, event.request)
        try:
            # One at a time: each takes some memory for as long as it takes.
            with self._reading:
                report = read_report(
                    Information.received(request.EventInformation, str(event.context.transfer_syntax))
                )
        except (ValueError, UnreadableObject) as error:
            self._log.warning("report refused", peer=peer, calling=calling, problem=where(error))
            return INVALID_ARGUMENT
        with self._lock:
            questions = [
                question
                for question in self._questions.values()
                if question.transaction_uid == report.transaction_uid
            ]
        # The Transaction UID is random and only the archive knows it; the AE title must be the archive's as well.
        if not questions or questions[0].destination.ae_title != calling:
            hint = "Nothing was asked under this Transaction UID, or it was asked anew since."
            self._log.warning("report refused", peer=peer, calling=calling, code="unknown", hint=hint)
            return PROCESSING_FAILURE
        self._note(questions[0], report)
        return SUCCESS

    def _note(self, question: Question, report: CommitmentReport) -> None:
        """An instance that the report names neither as committed nor as failed counts as failed."""
        if question.answered.is_set():
            return
        name = question.destination.name
        missing = question.instances - (report.committed - set(report.failed))
        question.failed = {instance: report.failed.get(instance, PROCESSING_FAILURE) for instance in missing}
        question.answered.set()
        outcome = "failed" if question.failed else "committed"
        self._metrics.count("sealgate_archive_commitments_total", destination=name, outcome=outcome)
        if question.failed:
            self._log.warning(
                "not committed",
                destination=name,
                instances=len(question.failed),
                reasons=sorted({f"{reason:04X}" for reason in question.failed.values()}),
                hint="Look at the archive's log; the modality is told that these failed, and may send them again.",
            )
        self._answered.notify()
