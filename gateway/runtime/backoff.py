"""When to try again."""

from __future__ import annotations

import random


def delay_s(attempts: int, *, first_s: float, most_s: float, jitter: float | None = None) -> float:
    """Seconds before the next attempt after `attempts` (1 ..) failures: doubling, capped, spread.

    jitter: 0 .. 1, random when absent; the delay lies between half and all of the exponential one, so that
    jobs that failed together do not come back together.
    """
    whole = min(most_s, first_s * 2.0 ** min(attempts - 1, 32))
    return whole * (0.5 + 0.5 * (random.random() if jitter is None else jitter))
