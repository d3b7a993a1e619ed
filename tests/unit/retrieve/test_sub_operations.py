"""Counts and final statuses of C-GET and C-MOVE, PS3.4 C.4.2 and C.4.3."""

from __future__ import annotations

import pytest

from gateway.dimse import statuses
from gateway.retrieve.fetching import BATCH, batches
from gateway.retrieve.plan import Wanted
from gateway.retrieve.sub_operations import Tally


@pytest.mark.parametrize(
    ("tally", "status"),
    [
        (Tally(2, completed=2), statuses.SUCCESS),
        (Tally(0), statuses.SUCCESS),
        (Tally(2, completed=1, warning=1), statuses.SUB_OPERATIONS_WARNING),
        (Tally(2, completed=1, failed_instances=["1.2"]), statuses.SUB_OPERATIONS_WARNING),
    ],
)
def test_the_last_status_follows_from_the_counts(tally: Tally, status: int) -> None:
    assert tally.status() == status


def test_remaining_ones_are_told_until_the_last_response() -> None:
    tally = Tally(5, completed=1, warning=1, failed_instances=["1.2"])
    pending = tally.counts(last=False)
    assert (pending.remaining, pending.completed, pending.failed, pending.warning) == (2, 1, 1, 1)
    assert pending.total == 5
    assert tally.counts(last=True).remaining is None


def test_a_batch_is_of_one_series_and_not_too_large() -> None:
    def wanted(series: str, number: int) -> Wanted:
        return Wanted(study="1", series=series, sop_class="2", sop_instance=f"{series}.{number}")

    plan = [wanted("3", number) for number in range(BATCH + 2)] + [wanted("4", 1)]
    made = list(batches(plan))
    assert [len(batch) for batch in made] == [BATCH, 2, 1]
    assert [instance for batch in made for instance in batch] == plan
    assert list(batches([])) == []
