"""Threads that wait for work are woken, and miss no work."""

from __future__ import annotations

import threading
import time

from gateway.runtime.wakeup import Wakeup


def test_a_ring_before_waiting_is_not_missed() -> None:
    wakeup = Wakeup()
    seen = wakeup.count
    wakeup.notify()
    started = time.monotonic()
    wakeup.wait(seen, 10)
    assert time.monotonic() - started < 1


def test_a_ring_wakes_who_waits() -> None:
    wakeup = Wakeup()
    threading.Timer(0.05, wakeup.notify).start()
    started = time.monotonic()
    wakeup.wait(wakeup.count, 10)
    assert time.monotonic() - started < 5
