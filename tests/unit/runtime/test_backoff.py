"""When to try again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.runtime.backoff import delay_s


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waiting_grows_but_stays_below_its_cap(attempts: int, jitter: float) -> None:
    wait = delay_s(attempts, first_s=2, most_s=300, jitter=jitter)
    assert 1 <= wait <= 300
    assert wait <= delay_s(attempts + 1, first_s=2, most_s=300, jitter=jitter)


def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    assert len({delay_s(5, first_s=2, most_s=300) for _ in range(20)}) > 10
