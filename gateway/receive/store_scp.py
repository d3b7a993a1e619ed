"""C-STORE requests: what the intake needs of them, and its answer as a DIMSE status."""

from __future__ import annotations

from typing import Any

from gateway.dimse import statuses
from gateway.dimse.association import AssociationState
from gateway.dimse.incoming import Incoming
from gateway.receive.intake import Accepted, Intake, Rejection, StoreRequest

# Priority of a C-STORE request, PS3.7 9.3.1.1. Only this one counts: many senders say low without meaning it.
HIGH = 1
# PS3.4 B.2.3
STATUS = {
    Rejection.UNREADABLE: statuses.CANNOT_UNDERSTAND,
    Rejection.UNDECIDED: statuses.CANNOT_UNDERSTAND,
    Rejection.MISMATCH: statuses.DATA_SET_MISMATCH,
    Rejection.LOOP: statuses.LOOP,
    Rejection.NO_ROUTE: statuses.NOT_AUTHORISED,
    Rejection.CHANGED: statuses.DUPLICATE_INSTANCE,
    Rejection.NOT_DURABLE: statuses.OUT_OF_RESOURCES,
}


class StoreScp:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def on_store(self, event: Any, association: AssociationState) -> int:
        """Answer one C-STORE request. Runs in the threads of associations, several at a time.

        event: EVT_C_STORE of pynetdicom.
        association: its counter of bytes is raised.

        Returns the DIMSE status: success (0000) only when spool and queue hold the object for good.
        """
        request = event.request
        data: Incoming = request.DataSet
        association.bytes += data.size
        answer = self._intake.accept(
            StoreRequest(
                called=association.called,
                calling=association.calling,
                sop_class=str(request.AffectedSOPClassUID),
                sop_instance=str(request.AffectedSOPInstanceUID),
                syntax=str(event.context.transfer_syntax),
                urgent=request.Priority == HIGH,
                gateway=association.gateway,
                data=data,
            )
        )
        return statuses.SUCCESS if isinstance(answer, Accepted) else STATUS[answer.reason]
