"""The loop of a service thread: one turn of work after another, until the thread is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum, auto

from gateway.runtime.wakeup import Wakeup


class Next(Enum):
    """What the loop does after a turn."""

    # The next turn, at once.
    AGAIN = auto()
    # The next turn when the wakeup is notified, or when the waiting time is over.
    WAIT = auto()
    # The next turn when the waiting time is over. The wakeup changes nothing.
    REST = auto()


class WorkLoop:
    """Runs the turns of one thread. An error ends the turn, never the loop."""

    def __init__(
        self,
        wakeup: Wakeup,
        *,
        wait_s: float,
        pause_s: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        """wakeup: is notified when there may be work.
        wait_s: the longest time between two turns, seconds.
        pause_s: the time between an error and the next turn, seconds.
        on_error: is called with each error that a turn raises, before the pause. It must not raise.
        """
        self._wakeup = wakeup
        self._wait_s = wait_s
        self._pause_s = pause_s
        self._on_error = on_error
        self._stopping = threading.Event()

    @property
    def is_stopping(self) -> bool:
        """True after `stop`. A long turn asks between its objects."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """The turn in hand is the last one. For any thread."""
        self._stopping.set()
        self._wakeup.notify()

    def pause(self, seconds: float) -> None:
        """Wait inside a turn. `stop` ends the wait."""
        self._stopping.wait(seconds)

    def run(self, turn: Callable[[], Next]) -> None:
        """Return after `stop`.

        turn: looks for work and does some of it. A notification that comes during the turn is not lost.
        """
        while not self.is_stopping:
            seen = self._wakeup.count
            try:
                following = turn()
            except Exception as error:  # noqa: BLE001 - told to the callback; the thread must live
                self._on_error(error)
                self.pause(self._pause_s)
                continue
            if following is Next.WAIT:
                self._wakeup.wait(seen, self._wait_s)
            elif following is Next.REST:
                self.pause(self._wait_s)
