"""Storage commitment, Push Model (PS3.4 annex J), as its provider: the requests of modalities are written down.

`gateway.commitment.reporter` answers them later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION

from gateway.commitment.information import Information
from gateway.commitment.messages import COMMITMENT_INSTANCE, REQUEST_COMMITMENT, read_request
from gateway.commitment.reporter import report_destination
from gateway.config import Config
from gateway.dimse.association import AssociationState
from gateway.dimse.statuses import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_INSTANCE,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
)
from gateway.errors import ResourceError, UnreadableObject
from gateway.observe import Log, Metrics, where
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue.commitments import Commitments, Reference
from gateway.runtime.wakeup import Wakeup


class CommitmentProvider:
    """`on_action` runs in association threads, several at a time."""

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
        """config: the configuration in force, asked for each request.

        asked: is notified of each request.
        """
        self._config = config
        self._commitments = commitments
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._log = log
        self._asked = asked
        self._reading = threading.Lock()

    def on_action(self, event: evt.Event, state: AssociationState) -> int:
        """The DIMSE status of an N-ACTION (PS3.7 10.1.4): 0000 only when the request is durable.

        A repeated request changes nothing.
        """
        request = cast(N_ACTION, event.request)
        if str(request.RequestedSOPInstanceUID) != COMMITMENT_INSTANCE:
            return NO_SUCH_INSTANCE
        if request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if report_destination(self._config(), state.calling) is None:
            hint = "Give its [[node]] a report_to that names the [[destination]] of the requester."
            self._log.warning("commitment refused", peer=state.peer, calling=state.calling, hint=hint)
            return PROCESSING_FAILURE
        try:
            # One at a time: each takes some memory for as long as it takes.
            with self._reading:
                transaction_uid, instances = read_request(
                    Information.received(request.ActionInformation, str(event.context.transfer_syntax))
                )
            references = [
                Reference(sop_class, sop_instance, pseudonym=self._pseudonyms.of(sop_instance))
                for sop_class, sop_instance in instances
            ]
        except (ValueError, UnreadableObject) as error:
            self._log.warning(
                "commitment refused", peer=state.peer, calling=state.calling, problem=where(error)
            )
            return INVALID_ARGUMENT
        try:
            is_new = self._commitments.put(
                transaction_uid=transaction_uid,
                calling=state.calling,
                called=state.called,
                references=references,
            )
        except ResourceError as error:
            self._log.error("commitment not durable", code=error.code, problem=str(error))
            return OUT_OF_RESOURCES
        if is_new:
            self._metrics.count("sealgate_commitment_requests_total", calling=state.calling)
            self._log.info("commitment requested", calling=state.calling, instances=len(references))
        self._asked.notify()
        return SUCCESS
