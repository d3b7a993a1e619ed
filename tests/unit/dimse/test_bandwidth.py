"""When and how fast objects are sent to a destination: hours of the day, bytes per second."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.hours import checked_hours, is_open
from gateway.dimse.bandwidth import RateLimit

MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))


def hours(first: time, last: time) -> str:
    return f"{first:%H:%M}-{last:%H:%M}"


@pytest.mark.parametrize(
    ("at", "is_in"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("05:59", True), ("06:00", False)],
)
def test_a_window_goes_on_after_midnight(at: str, is_in: bool) -> None:
    assert is_open(("22:00-06:00",), time.fromisoformat(at)) is is_in


def test_without_hours_it_is_always_open_and_with_several_any_of_them_counts() -> None:
    assert is_open((), time(3))
    both = ("06:00-07:00", "12:30-13:00")
    assert [is_open(both, time(*at)) for at in ((6, 30), (12, 0), (12, 30))] == [True, False, True]


@given(MINUTES, MINUTES, MINUTES)
def test_every_minute_is_in_a_window_or_in_the_rest_of_the_day(first: time, last: time, at: time) -> None:
    if first != last:
        assert is_open((hours(first, last),), at) != is_open((hours(last, first),), at)


@pytest.mark.parametrize("wrong", ["22-6", "24:00-06:00", "22:00-06:60", "22:00 - 06:00", "", "08:00-08:00"])
def test_what_is_no_window_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        checked_hours(wrong)


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.integers(1000, 10**9), st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=200))
def test_over_any_time_no_more_goes_out_than_the_rate_and_one_burst(rate: int, shares: list[float]) -> None:
    clock = Clock()
    rate_limit = RateLimit(rate, clock=clock, sleep=clock.sleep)
    sent = 0
    for share in shares:
        count = max(1, int(share * rate_limit.piece_bytes))
        rate_limit.wait_for(count)
        sent += count
        assert sent <= rate * (clock.now - 1000.0) + rate * 0.25 + 1


def test_a_line_that_was_idle_has_saved_up_one_burst_and_no_more() -> None:
    clock = Clock()
    rate_limit = RateLimit(1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    started = clock.now
    rate_limit.wait_for(250)
    assert clock.now == started
    rate_limit.wait_for(500)
    assert clock.now == pytest.approx(started + 0.5)
