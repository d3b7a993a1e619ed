"""C-STORE (PS3.4 annex B): who may store what, and what is counted; `on_store` decides about the object itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pynetdicom import ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.presentation import (
    NonPatientObjectPresentationContexts,
    PresentationContext,
    build_context,
)

from gateway.dimse.association import AssociationState
from gateway.dimse.services import EventHandler
from gateway.dimse.statuses import NOT_AUTHORISED, PROCESSING_FAILURE, SUCCESS
from gateway.observe import Log, Metrics, where


class StorageService:
    """Hands each object that its sender may store to `on_store`."""

    def __init__(
        self, on_store: Callable[[evt.Event, AssociationState], int], *, metrics: Metrics, log: Log
    ) -> None:
        """on_store: returns the DIMSE status of one C-STORE request; runs in the association's thread."""
        self._on_store = on_store
        self._metrics = metrics
        self._log = log

    def contexts(self) -> list[PresentationContext]:
        """Those for objects that belong to no patient: palettes, protocols, templates (PS3.4 annex GG).

        Images need none: pynetdicom's unrestricted storage service takes every SOP class that it does not know. But
        it knows these, as classes of another service than Storage.
        """
        return [
            build_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
            for context in NonPatientObjectPresentationContexts
        ]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {evt.EVT_C_STORE: self._store}

    def _store(self, event: evt.Event, state: AssociationState) -> int:
        started = time.monotonic()
        try:
            status = self._on_store(event, state) if self._may_store(event, state) else NOT_AUTHORISED
        # A defect of ours is reported, and the object is not acknowledged.
        except Exception as error:  # noqa: BLE001
            self._log.error("store failed", code="internal", problem=where(error))
            status = PROCESSING_FAILURE
        state.objects += 1
        state.failed += status != SUCCESS
        if status != SUCCESS:
            self._metrics.count("sealgate_refused_total", status=f"{status:04X}")
        self._metrics.time("sealgate_store_seconds", time.monotonic() - started)
        return status

    def _may_store(self, event: evt.Event, state: AssociationState) -> bool:
        """The request names a SOP class of its own, which may differ from that of its presentation context."""
        sop_class = str(event.request.AffectedSOPClassUID)
        if state.may_store(sop_class):
            return True
        name = state.node.name if state.node else ""
        self._log.warning("refused", code="sop-class", node=name, sop_class=sop_class[:64])
        return False
