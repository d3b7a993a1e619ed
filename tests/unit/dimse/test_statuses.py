"""What the statuses of C-STORE mean for us."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.dimse.statuses import TABLE, Meaning, classify


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (0x0000, Meaning.DELIVERED),
        (0xB000, Meaning.DELIVERED),
        (0xB006, Meaning.DELIVERED),
        (0xB007, Meaning.DELIVERED),
        (0xA700, Meaning.TRY_AGAIN),
        (0xA7FF, Meaning.TRY_AGAIN),
        (0x0110, Meaning.TRY_AGAIN),
        (0xA900, Meaning.REFUSED),
        (0xC000, Meaning.REFUSED),
        (0xC123, Meaning.REFUSED),
        (0x0122, Meaning.REFUSED),
        (0x0124, Meaning.REFUSED),
        (0xFE00, Meaning.REFUSED),
        (0x1234, Meaning.REFUSED),
    ],
)
def test_a_status_means(status: int, meaning: Meaning) -> None:
    assert classify(status).meaning is meaning


def test_no_status_has_two_rows() -> None:
    ranges = sorted((row.first, row.last) for row in TABLE)
    assert all(before[1] < after[0] for before, after in pairwise(ranges))


def test_every_status_that_is_not_delivery_has_a_hint() -> None:
    assert all(row.hint for row in TABLE if row.meaning is not Meaning.DELIVERED)
