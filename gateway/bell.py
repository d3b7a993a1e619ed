"""Wakes threads that wait for work, at once when it arrives in this process, else after a while."""

from __future__ import annotations

import threading


class Bell:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    @property
    def rings(self) -> int:
        """Read it before looking for work, so that a ring in between is not missed."""
        return self._rings

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def wait(self, heard: int, timeout_s: float) -> None:
        """Return at once if it rang since `rings` was `heard`, else at the next ring or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != heard, timeout_s)
