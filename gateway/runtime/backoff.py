"""When to try again."""

from __future__ import annotations

import random


def delay_s(attempts: int, *, first_s: float, most_s: float, jitter: float | None = None) -> float:
    """How long to wait for the next attempt, seconds.

    The delay doubles with each failure, up to a limit, and is spread between half of it and all of it, so that jobs
    that failed together do not come back together.

    attempts: number of failures, 1 ..
    first_s: the delay after the first failure, seconds.
    most_s: the longest delay, seconds.
    jitter: place in the spread, 0 .. 1; None: random.
    """
    whole = min(most_s, first_s * 2.0 ** min(attempts - 1, 32))
    return whole * (0.5 + 0.5 * (random.random() if jitter is None else jitter))
