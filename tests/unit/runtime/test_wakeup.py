"""Threads that wait for work are woken, and miss no work."""

from __future__ import annotations

import threading

from gateway.runtime.wakeup import Wakeup

HANG_S = 3600.0  # longer than pytest waits for a test


def test_a_notification_before_waiting_is_not_missed() -> None:
    wakeup = Wakeup()
    seen = wakeup.count
    wakeup.notify()
    wakeup.wait(seen, HANG_S)


def test_a_notification_wakes_threads_that_wait() -> None:
    wakeup = Wakeup()
    threading.Timer(0.05, wakeup.notify).start()
    wakeup.wait(0, HANG_S)
