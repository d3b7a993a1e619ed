"""The state machine of an association (PS3.8 9.2) that ends with an error instead of dying of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynetdicom.fsm import StateMachine

# A-ABORT, PS3.8 9.3.8: source 2 (service provider), reason 2 (unexpected PDU)
ABORT = bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 2, 2))


class EndingStateMachine(StateMachine):
    """A peer that breaks the protocol loses its association at once.

    In the original an event that the present state does not know, or a message that can't be decoded, ends the thread
    of the upper layer with a traceback, and the association keeps its place until a time-out.
    """

    def __init__(self, dul: Any, broken: Callable[[BaseException], None]) -> None:
        """broken: told what was wrong; it may quote values that the peer sent."""
        super().__init__(dul)
        self._broken = broken

    def do_action(self, event: str) -> None:
        try:
            super().do_action(event)
        except Exception as error:  # noqa: BLE001 - whatever a peer provokes ends its association, and is told
            self._broken(error)
            self._end()

    def _end(self) -> None:
        """What pynetdicom does after errors elsewhere in this loop."""
        dul: Any = self.dul
        association = dul.assoc
        if dul.socket is not None:
            dul.socket.send(ABORT)  # catches its own OSErrors
        association.is_aborted = True
        association.is_established = False
        association._kill = True
        dul._kill_thread = True
        dul.to_user_queue.put(None)  # wakes who waits, as a time-out would
