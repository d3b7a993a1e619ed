"""Storage commitment as a service of the listener: requests of modalities, and reports of archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.syntaxes import EXPLICIT_VR_BE
from gateway.dicom.uids import STORAGE_COMMITMENT
from gateway.dimse.association import AssociationState
from gateway.dimse.requestor import UNCOMPRESSED
from gateway.dimse.services import EventHandler
from gateway.dimse.statuses import PROCESSING_FAILURE
from gateway.observe import Log, where

StatusHandler = Callable[[evt.Event, AssociationState], int]


class CommitmentService:
    """Answers N-ACTION and N-EVENT-REPORT, which only storage commitment has here."""

    def __init__(self, *, on_action: StatusHandler, on_event_report: StatusHandler, log: Log) -> None:
        """on_action: returns the DIMSE status of a modality's request; runs in the association's thread.

        on_event_report: the same for an archive's report.
        """
        self._on_action = on_action
        self._on_event_report = on_event_report
        self._log = log

    def contexts(self) -> list[PresentationContext]:
        """The peer may have either role: a modality that asks us is SCU, an archive that reports to us is SCP.

        Not deflated: nobody knows how large such a data set becomes.
        """
        context = build_context(STORAGE_COMMITMENT, [*UNCOMPRESSED, EXPLICIT_VR_BE])
        context.scu_role = context.scp_role = True
        return [context]

    def handlers(self) -> Mapping[evt.InterventionEvent, EventHandler]:
        return {
            evt.EVT_N_ACTION: lambda event, state: (self._status(self._on_action, event, state), None),
            evt.EVT_N_EVENT_REPORT: lambda event, state: (
                self._status(self._on_event_report, event, state),
                None,
            ),
        }

    def _status(self, handler: StatusHandler, event: evt.Event, state: AssociationState) -> int:
        try:
            return handler(event, state)
        # A defect of ours is reported, and nothing is promised.
        except Exception as error:  # noqa: BLE001
            self._log.error("commitment failed", code="internal", problem=where(error))
            return PROCESSING_FAILURE
