"""What one object may take of a process: memory and time."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gateway.errors import TookTooLong


def limit_memory(data_bytes: int) -> None:
    """Limit what this process may allocate (RLIMIT_DATA, setrlimit(2); mapped files do not count on Linux).

    An object that claims to be huge then fails alone, before the system looks for a process to end.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def limited_time(seconds: float | None) -> Iterator[None]:
    """Raise TookTooLong in the block after so many seconds; a decoder that is at work then is left first.

    seconds: None: no limit. Without effect outside the main thread, which alone hears signals.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
