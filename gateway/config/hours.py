"""Hours of the day at which a destination may be sent to: "22:00-06:00", local time of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def checked_hours(hours: str) -> str:
    """The text itself. Raises ValueError when it is not a window of time, or an empty one."""
    first, last = _window(hours)
    if first == last:
        raise ValueError("the window is empty (leave hours out for all day)")
    return hours


def is_open(hours: Sequence[str], at: time) -> bool:
    """Whether `at` lies in one of the windows. True when there is no window.

    The first minute of a window belongs to it, the last does not. A window that ends before it begins goes on after
    midnight.
    """
    return not hours or any(_holds(*_window(window), at) for window in hours)


def _holds(first: time, last: time, at: time) -> bool:
    if first < last:
        return first <= at < last
    return at >= first or at < last


def _window(hours: str) -> tuple[time, time]:
    match = _HOURS.fullmatch(hours)
    if match is None:
        raise ValueError('write hours as "22:00-06:00"')
    first_hour, first_minute, last_hour, last_minute = (int(part) for part in match.groups())
    return time(first_hour, first_minute), time(last_hour, last_minute)
