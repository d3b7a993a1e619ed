"""How often each caller may ask: token buckets."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Callers that are remembered at once. The caller whose last request is the oldest is forgotten first.
CALLERS_MAX = 10_000


@dataclass
class _Bucket:
    left: float
    at: float


class CallerRates:
    """One token bucket for each caller: the requests of one minute at once, then as many as come back.

    For one thread.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """per_minute: requests of each caller.
        clock: seconds.
        """
        self._size = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> int:
        """0 when the caller may ask now, else the whole seconds after which the caller may ask again."""
        now = self._clock()
        bucket = self._buckets.setdefault(caller, _Bucket(self._size, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > CALLERS_MAX:
            self._buckets.popitem(last=False)
        bucket.left = min(self._size, bucket.left + (now - bucket.at) * self._size / 60)
        bucket.at = now
        if bucket.left < 1:
            return math.ceil((1 - bucket.left) * 60 / self._size)
        bucket.left -= 1
        return 0

    def give_back(self, caller: str) -> None:
        """Undo a `take` that returned 0."""
        bucket = self._buckets.get(caller)
        if bucket is not None:
            bucket.left = min(self._size, bucket.left + 1)
