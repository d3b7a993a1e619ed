"""A limit on bytes per second, shared by all who send to one destination (a token bucket, RFC 2697 without colours)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_S = 0.25  # what may be sent at once after a pause, in seconds of the rate
PIECE_S = 0.5  # of the rate: no piece is larger, so that a peer sees something arrive again and again


class RateLimit:
    def __init__(
        self,
        bytes_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """bytes_s: more than 0."""
        self._bytes_s = bytes_s
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._allowed = bytes_s * BURST_S  # bytes; below zero: they were promised to somebody who waits
        self._counted = clock()

    @property
    def piece_bytes(self) -> int:
        """The most to be asked for at once."""
        return max(1, int(self._bytes_s * PIECE_S))

    def wait_for(self, count: int) -> None:
        """Return when `count` more bytes may be sent. Those who wait are served in the order in which they came."""
        with self._lock:
            now = self._clock()
            earned = (now - self._counted) * self._bytes_s
            self._allowed = min(self._bytes_s * BURST_S, self._allowed + earned) - count
            self._counted = now
            wait_s = -self._allowed / self._bytes_s
        if wait_s > 0:
            self._sleep(wait_s)
