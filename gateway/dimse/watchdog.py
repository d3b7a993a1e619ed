"""Ends associations that have stalled, and writes one log line for each association that has ended."""

from __future__ import annotations

import threading
import time

from gateway.dimse.association import AssociationState
from gateway.dimse.connections import PendingConnections
from gateway.dimse.open_associations import OpenAssociations
from gateway.observe import Log, Metrics, where

WATCH_INTERVAL_S = 0.5


class Watchdog:
    """`run` is for a thread of its own."""

    def __init__(
        self,
        *,
        associations: OpenAssociations,
        pending: PendingConnections,
        network_timeout_s: float,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """network_timeout_s: an association is ended when the rest of a PDU is awaited for longer, seconds."""
        self._associations = associations
        self._pending = pending
        self._network_timeout_s = network_timeout_s
        self._metrics = metrics
        self._log = log
        self._stopped = threading.Event()

    def run(self) -> None:
        """Watch until `stop`."""
        while not self._stopped.wait(WATCH_INTERVAL_S):
            try:
                for state in self._associations.open_ones():
                    self._end_if_stalled(state)
                self.finish_ended()
            # The watchdog must not die of one association.
            except Exception as error:  # noqa: BLE001
                self._log.error("watchdog", code="internal", problem=where(error))

    def stop(self) -> None:
        self._stopped.set()

    def finish_ended(self) -> None:
        """Free what ended associations hold, and write their log lines."""
        for state in self._associations.take_ended():
            self._pending.leave(state.connection)
            state.messages.discard()
            self._metrics.add("sealgate_associations_active", -1)
            self._metrics.count("sealgate_associations_total", outcome=state.outcome)
            self._log.info("association", **_log_line(state))

    def _end_if_stalled(self, state: AssociationState) -> None:
        since = state.socket.waiting_since
        if since is not None and time.monotonic() - since > self._network_timeout_s:
            state.stalled = True
            state.connection.shut()


def _log_line(state: AssociationState) -> dict[str, object]:
    request = state.association.requestor.primitive
    return {
        "peer": state.peer,
        "node": state.node.name if state.node else "",
        "user": state.user,
        "tls": state.connection.tls,
        "calling": state.calling,
        "called": state.called,
        "contexts": len(request.presentation_context_definition_list) if request else 0,
        "accepted": len(state.association.accepted_contexts),
        "objects": state.objects,
        "failed": state.failed,
        "bytes": state.bytes,
        "duration_s": round(time.monotonic() - state.opened_at, 3),
        "outcome": state.outcome,
    }
