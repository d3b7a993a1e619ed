"""Statuses, back-off, bell, pseudonyms, marks, metrics, transfer syntax order."""

from __future__ import annotations

import io
import stat
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.backoff import delay_s
from gateway.bell import Bell
from gateway.errors import UnreadableObject
from gateway.mark import marked
from gateway.negotiation import known_first
from gateway.observe import METRICS, Metrics
from gateway.pseudonym import Pseudonyms
from gateway.queue import Depth, State, Step
from gateway.seal.pixels import transcode
from gateway.statuses import TABLE, Meaning, classify
from tests.support import objects


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


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waiting_grows_but_stays_below_its_cap(attempts: int, jitter: float) -> None:
    wait = delay_s(attempts, first_s=2, most_s=300, jitter=jitter)
    assert 1 <= wait <= 300
    assert wait <= delay_s(attempts + 1, first_s=2, most_s=300, jitter=jitter)


def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    assert len({delay_s(5, first_s=2, most_s=300) for _ in range(20)}) > 10


def test_a_ring_before_waiting_is_not_missed() -> None:
    bell = Bell()
    heard = bell.rings
    bell.ring()
    started = time.monotonic()
    bell.wait(heard, 10)
    assert time.monotonic() - started < 1


def test_a_ring_wakes_who_waits() -> None:
    bell = Bell()
    threading.Timer(0.05, bell.ring).start()
    started = time.monotonic()
    bell.wait(bell.rings, 10)
    assert time.monotonic() - started < 5


def test_pseudonyms_are_stable_within_a_gateway_and_differ_between_gateways(tmp_path: Path) -> None:
    first, again = Pseudonyms.load(tmp_path / "a"), Pseudonyms.load(tmp_path / "a")
    other = Pseudonyms.load(tmp_path / "b")
    assert first.of("1.2.3") == again.of("1.2.3") != other.of("1.2.3")
    assert len(first.of("1.2.3")) == 16
    assert stat.S_IMODE((tmp_path / "a" / "pseudonym.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["pseudonym.key"]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_mark_is_the_only_change(syntax: str) -> None:
    data = transcode(objects.ct(rows=16, columns=16), syntax)
    after = dcmread(io.BytesIO(marked(data, "verification failed: tampered")))
    assert after.ImageComments == "SEALGATE: verification failed: tampered"
    del after.ImageComments
    assert after == dcmread(io.BytesIO(data))


def test_a_mark_keeps_the_comment_that_was_there_and_is_set_once() -> None:
    data = objects.ct(rows=16, columns=16, ImageComments="seen by Dr. Müller")
    once = marked(data, "not sealed: x")
    assert dcmread(io.BytesIO(once)).ImageComments.splitlines() == [
        "SEALGATE: not sealed: x",
        "seen by Dr. Müller",
    ]
    assert marked(once, "not sealed: x") == once


def test_what_cannot_be_parsed_cannot_be_marked() -> None:
    with pytest.raises(UnreadableObject):
        marked(b"garbage", "x")


def test_the_first_standard_syntax_is_taken_in_the_proposers_order() -> None:
    private = UID("1.2.840.113619.5.2")
    jpeg_ls = UID("1.2.840.10008.1.2.4.80")
    assert known_first([private, jpeg_ls, ImplicitVRLittleEndian]) == [
        jpeg_ls,
        ImplicitVRLittleEndian,
        private,
    ]
    assert known_first([private]) == [private]


def test_every_metric_can_be_exported() -> None:
    metrics = Metrics()
    for metric in METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        if metric.kind == "counter":
            metrics.count(metric.name, **labels)
        elif metric.kind == "gauge":
            metrics.set(metric.name, 1, **labels)
        else:
            metrics.time(metric.name, 0.1, **labels)
    text = metrics.exposition().decode()
    assert all(f"# HELP {metric.name} {metric.help}" in text for metric in METRICS)


def test_queue_gauges_forget_what_is_not_there_any_more() -> None:
    metrics = Metrics()
    depth = Depth(step=Step.DELIVER, destination="pacs", state=State.READY, jobs=3, oldest=time.time() - 10)
    metrics.set_depth([depth])
    assert (
        'sealgate_queue_jobs{destination="pacs",state="ready",step="deliver"} 3.0'
        in metrics.exposition().decode()
    )
    metrics.set_depth([])
    assert 'destination="pacs"' not in metrics.exposition().decode()
