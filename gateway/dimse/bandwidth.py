"""A limit on bytes per second, shared by all threads that send to one destination.

It is a token bucket: RFC 2697 without colours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# What may be sent at once after a pause, in seconds of the rate.
BURST_S = 0.25
# The largest piece, in seconds of the rate: small enough that a peer sees data arrive again and again.
PIECE_S = 0.5


class RateLimit:
    """Threads call `wait_for` before they send."""

    def __init__(
        self,
        bytes_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """bytes_s: the rate, bytes per second, more than 0.

        clock: the time, seconds.
        sleep: waits for so many seconds.
        """
        self._bytes_s = bytes_s
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        # What may be sent now, bytes. Below zero, bytes are promised to threads that wait.
        self._allowed = bytes_s * BURST_S
        self._counted_at = clock()

    @property
    def piece_bytes(self) -> int:
        """The most bytes to ask for at once."""
        return max(1, int(self._bytes_s * PIECE_S))

    def wait_for(self, count: int) -> None:
        """Return when `count` more bytes may be sent. Threads are served in the order in which they came."""
        with self._lock:
            now = self._clock()
            earned = (now - self._counted_at) * self._bytes_s
            self._allowed = min(self._bytes_s * BURST_S, self._allowed + earned) - count
            self._counted_at = now
            wait_s = -self._allowed / self._bytes_s
        if wait_s > 0:
            self._sleep(wait_s)
