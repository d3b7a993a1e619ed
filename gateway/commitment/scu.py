"""Storage commitment, Push Model (PS3.4 annex J), as its user: archives are asked whether they keep what they took.

Answers are held in memory only. After a restart, and when none came in time, the archive is asked again, under a
Transaction UID of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import generate_uid

from gateway.config import Config, Destination
from gateway.dimse.listener import AssociationState
from gateway.dimse.statuses import INVALID_ARGUMENT, PROCESSING_FAILURE, SUCCESS
from gateway.dimse.store_scu import Sender
from gateway.errors import KeyFileError, PeerError
from gateway.observe import Log, Metrics, where
from gateway.runtime.backoff import delay_s
from gateway.runtime.wakeup import Wakeup

SAME_ASSOCIATION_S = 2.0  # for an answer on the association of the question; later ones come on another
AGAIN_FIRST_S, AGAIN_MOST_S = (
    5.0,
    900.0,
)  # between questions to an archive that can't be reached or refuses them
MINUTE_S = 60.0

Key = tuple[int, str]  # the request that depends on the answer, and the destination


@dataclass(eq=False)
class Question:
    """What one archive was asked for one request. failed: once it answered, by SOP Instance UID (PS3.3 C.14.1.1)."""

    destination: Destination
    instances: frozenset[str]
    transaction_uid: str = ""
    again_at: float = 0.0  # monotonic seconds
    attempts: int = 0
    answered: threading.Event = field(default_factory=threading.Event)
    failed: dict[str, int] = field(default_factory=dict)


class CommitmentUser:
    """`failures` is for one thread, `told` runs in association threads. answered: rung at each answer."""

    def __init__(self, *, metrics: Metrics, log: Log, answered: Wakeup) -> None:
        self._metrics = metrics
        self._log = log
        self._answered = answered
        self._questions: dict[Key, Question] = {}
        self._lock = threading.Lock()

    def failures(
        self, request: int, destination: Destination, references: Sequence[tuple[str, str]], config: Config
    ) -> dict[str, int] | None:
        """Failure Reason of each SOP instance that the archive does not commit; None until it has answered.

        Asks it when that is due, and waits a moment for the answer. references: SOP class and SOP instance of what the
        archive was sent.
        """
        key, instances = (request, destination.name), frozenset(instance for _, instance in references)
        question = self._questions.get(key)
        if question is None or question.instances != instances:
            question = Question(destination, instances)
        if not question.answered.is_set() and time.monotonic() >= question.again_at:
            question.destination = destination  # it may have moved since
            self._ask(key, question, references, config)
        return question.failed if question.answered.is_set() else None

    def forget(self, request: int) -> None:
        """The request has ended."""
        with self._lock:
            for key in [key for key in self._questions if key[0] == request]:
                del self._questions[key]

    def told(self, event: Any, link: AssociationState) -> int:
        """The DIMSE status of an N-EVENT-REPORT on an association that the archive opened."""
        calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
        return self._take(event, peer=link.peer, calling=calling)

    def _ask(
        self, key: Key, question: Question, references: Sequence[tuple[str, str]], config: Config
    ) -> None:
        destination, limits = question.destination, config.limits
        if question.attempts:
            self._metrics.count(
                "sealgate_archive_commitments_total", destination=destination.name, outcome="unanswered"
            )
        question.transaction_uid = generate_uid(prefix=None)  # random, and nobody else's to guess
        question.attempts += 1
        with self._lock:
            self._questions[key] = question
        try:
            sender = Sender(destination, limits, calling=config.listener.ae_title)
            sender.ask_commitment(
                question.transaction_uid,
                references,
                told=lambda event: self._take(event, peer=destination.host, calling=destination.ae_title),
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

    def _take(self, event: Any, *, peer: str, calling: str) -> int:
        try:
            information = event.event_information
            uid = str(information.TransactionUID)
            committed = {
                str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or []
            }
            reasons = {
                str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or PROCESSING_FAILURE)
                for item in information.get("FailedSOPSequence") or []
            }
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke
            self._log.warning("report refused", peer=peer, calling=calling, problem=where(error))
            return INVALID_ARGUMENT
        with self._lock:
            asked = [one for one in self._questions.values() if one.transaction_uid == uid]
        # The Transaction UID is random and known to the archive alone; its AE title must fit as well.
        if not asked or asked[0].destination.ae_title != calling:
            hint = "Nothing was asked under this Transaction UID, or it was asked anew since."
            self._log.warning("report refused", peer=peer, calling=calling, code="unknown", hint=hint)
            return PROCESSING_FAILURE
        self._note(asked[0], committed, reasons)
        return SUCCESS

    def _note(self, question: Question, committed: set[str], reasons: dict[str, int]) -> None:
        """What is named neither as committed nor as failed is not committed."""
        if question.answered.is_set():
            return
        name = question.destination.name
        missing = question.instances - (committed - set(reasons))
        question.failed = {instance: reasons.get(instance, PROCESSING_FAILURE) for instance in missing}
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
