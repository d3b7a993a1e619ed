"""Wakes threads that wait for work: at once when the work arrives in this process, else after a while."""

from __future__ import annotations

import threading


class Wakeup:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How often it was notified. Read it before you look for work, so that nothing in between is missed."""
        return self._count

    def notify(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Return at once if `count` is no longer `seen`, else at the next `notify` or after `timeout_s`.

        seen: what `count` was before the caller looked for work.
        timeout_s: seconds.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout_s)
