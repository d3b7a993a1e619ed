"""The state machine of an association (PS3.8 9.2) that ends the association after an error, not its own thread."""

from __future__ import annotations

from collections.abc import Callable

from pynetdicom.association import Association

from gateway.dimse.pynetdicom_private import UpperLayerStateMachine, end_abruptly

# A-ABORT, PS3.8 9.3.8: source 2 (service provider), reason 2 (unexpected PDU).
ABORT = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 2, 2))


class EndingStateMachine(UpperLayerStateMachine):
    """Ends the association of a peer that breaks the protocol at once.

    In pynetdicom's own state machine, an event that does not fit the present state, or a message that can't be
    decoded, ends the thread of the upper layer with a traceback. The association then keeps its place until a time-out.
    """

    def __init__(self, association: Association, on_broken: Callable[[BaseException], None]) -> None:
        """association: the one whose events are processed.

        on_broken: is told what was wrong; the error may quote values that the peer sent.
        """
        super().__init__(association)
        self._on_broken = on_broken

    def do_action(self, event: str) -> None:
        """Process one event, "Evt1" .. "Evt19" of PS3.8 table 9-10."""
        try:
            super().do_action(event)
        # Whatever a peer provokes ends its association and is reported.
        except Exception as error:  # noqa: BLE001
            self._on_broken(error)
            end_abruptly(self, ABORT)
