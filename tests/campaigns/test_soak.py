"""At a steady rate with errors all the time nothing grows: memory, descriptors, threads, queue, spool.

The campaign lasts SEALGATE_SOAK_S seconds (3600) at SEALGATE_SOAK_RATE objects per second (4). A slope needs one
unbroken life of the processes, so an interrupted run begins anew; its samples stay in .work/campaigns/soak.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.commands.demo.process import free_port
from tests.campaigns.faults_gateway import PATIENCE, jobs
from tests.campaigns.soak_errors import Errors
from tests.campaigns.soak_samples import Record, Sample, per_hour, sample
from tests.support.campaign import CAMPAIGNS, number, seed, write_figures
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct
from tests.support.witness import Witness

EXTRA = """
[queue]
backoff_s = 0.5
backoff_max_s = 5.0
attempts = 1000
"""
RESTLESS = 0.01
WARM_UP = 1 / 3  # of the run: caches fill, pools open, the collector of cycles finds its high-water mark
MAIN_BYTES_H, CHILDREN_BYTES_H = 16 << 20, 32 << 20  # the bounds of growth per hour
JOBS_MAX_S = 60  # the queue never holds more than arrives in this time


def test_nothing_is_left_behind_by_a_round_of_every_error(tmp_path: Path) -> None:
    _soak(tmp_path, duration_s=5, rate=4, error_every_s=0.5, seed=seed(), samples=tmp_path / "samples.csv")


@pytest.mark.campaign
@pytest.mark.timeout(3 * 3600)
def test_nothing_grows_in_an_hour_of_work_and_errors(tmp_path: Path) -> None:
    duration_s, rate = number("SEALGATE_SOAK_S", 3600), number("SEALGATE_SOAK_RATE", 4)
    record, figures = _soak(
        tmp_path,
        duration_s=duration_s,
        rate=rate,
        error_every_s=3.0,
        seed=seed(),
        samples=CAMPAIGNS / "soak" / "samples.csv",
    )
    slopes = {
        name: per_hour(record.samples, name, after_s=WARM_UP * duration_s)
        for name in ("main_bytes", "children_bytes", "descriptors", "threads", "jobs", "spool_files")
    }
    write_figures(
        "soak", **figures, growth_per_hour={name: round(value, 1) for name, value in slopes.items()}
    )
    assert slopes["main_bytes"] < MAIN_BYTES_H
    assert slopes["children_bytes"] < CHILDREN_BYTES_H
    assert slopes["descriptors"] < 1
    assert slopes["threads"] < 1
    assert max(taken.jobs for taken in record.samples) < JOBS_MAX_S * rate


def _soak(
    folder: Path, *, duration_s: float, rate: int, error_every_s: float, seed: int, samples: Path
) -> tuple[Record, dict[str, object]]:
    record = Record(samples)
    sent: set[str] = set()
    with _plant(folder, seed) as (gateway, witness):
        processes = sample(gateway, time.monotonic()).children
        errors = Errors(gateway, witness, seed=seed)
        objects = _objects(seed)
        sent |= _sent(gateway, [next(objects) for _ in range(20)])
        for force in errors.every.values():  # each once, so that what it opens for good is open
            force()
        before = _at_rest(gateway, errors, processes)
        counted = _steady(gateway, errors, objects, sent, record, duration_s, rate, error_every_s)
        _at_rest(gateway, errors, processes)
        wait_for(
            lambda: _no_more(sample(gateway, time.monotonic()), before),
            what=f"no more descriptors, threads and processes than at {before}",
        )
        after = sample(gateway, time.monotonic())
        arrivals = witness.arrivals()
        parked = gateway.metric("sealgate_parked_total", step="deliver")
    missing = sent - arrivals.keys()
    assert not missing, f"{len(missing)} of {len(sent)} acknowledged objects missing"
    assert all(len(set(digests)) == 1 for digests in arrivals.values())
    assert parked == 0
    return record, {
        "seed": seed,
        "seconds": round(duration_s),
        "objects": len(sent),
        "errors": dict(counted),
        "missing": 0,
        "at rest before": _short(before),
        "at rest after": _short(after),
        "highest": {
            name: max(getattr(taken, name) for taken in record.samples)
            for name in ("main_bytes", "children_bytes", "descriptors", "threads", "jobs", "spool_files")
        },
    }


@contextmanager
def _plant(folder: Path, seed: int) -> Iterator[tuple[RunningGateway, Witness]]:
    with Witness(folder / "witness.txt", seed=seed, restless=RESTLESS) as witness:
        node = DemoDestination(name="pacs", ae_title="WITNESS", port=witness.port)
        gateway = RunningGateway(
            folder / "gateway",
            nodes=[node],
            routes=[
                DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
                DemoRoute(called="PASS", action="pass", to=("pacs",)),
            ],
            extra=EXTRA,
            environment={**PATIENCE, "SEALGATE_LIMITS__IDLE_RELEASE_S": "1"},
            dicom_port=free_port(),
            http_port=free_port(),
        )
        with gateway:
            yield gateway, witness


def _objects(seed: int) -> Iterator[Parcel]:
    for count in itertools.count():
        yield parcel(
            ct(rows=64, columns=64, seed=seed * 1_000_000 + count, number=count + 1), fallback_uid=""
        )


def _sent(gateway: RunningGateway, parcels: list[Parcel], called: str = "SEALGATE") -> set[str]:
    """SOP Instance UIDs of those that were acknowledged; the others are given up, as an impatient user does."""
    statuses: list[int] = []
    send(parcels, gateway.dicom_port, called=called, answered=statuses.append)
    return {one.sop_instance for one, status in zip(parcels, statuses, strict=True) if status == 0}


def _steady(
    gateway: RunningGateway,
    errors: Errors,
    objects: Iterator[Parcel],
    sent: set[str],
    record: Record,
    duration_s: float,
    rate: int,
    error_every_s: float,
) -> Counter[str]:
    """Each second `rate` objects on one association, now and then an error, a sample every two seconds."""
    counted: Counter[str] = Counter()
    names = itertools.cycle(errors.every)
    started = time.monotonic()
    error_at = sample_at = 0.0
    for turn in itertools.count():
        now = time.monotonic() - started
        if now > duration_s:
            return counted
        sent |= _sent(gateway, [next(objects) for _ in range(rate)], ("SEALGATE", "PASS")[turn % 3 == 2])
        if now >= error_at:
            name = next(names)
            errors.every[name]()
            counted[name] += 1
            error_at += error_every_s
        if now >= sample_at:
            record.add(sample(gateway, started))
            sample_at += 2.0
        time.sleep(max(0.0, turn + 1 - (time.monotonic() - started)))
    return counted


def _at_rest(gateway: RunningGateway, errors: Errors, processes: int) -> Sample:
    """When all is delivered, people have dropped what was quarantined, connections were given up, and a reload that
    is under way has its `processes` again.
    """
    errors.close()
    wait_for(
        lambda: gateway.ready() and sample(gateway, time.monotonic()).children >= processes, what="readiness"
    )
    wait_for(
        lambda: (
            jobs(gateway)
            == gateway.metric("sealgate_queue_jobs", destination="", state="parked")
            + gateway.metric("sealgate_queue_jobs", state="waiting")
        ),
        what="nothing but broken objects in the queue",
        timeout_s=240,
    )
    errors.drop_parked()
    wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
    wait_for(lambda: gateway.metric("sealgate_associations_active") == 0, what="no association")
    time.sleep(2.5)  # longer than idle_release_s, and than silent connections are given
    return sample(gateway, time.monotonic())


def _no_more(after: Sample, before: Sample) -> bool:
    """A thread of the HTTP server may take some seconds to end; what has leaked never does."""
    return (
        after.descriptors <= before.descriptors
        and after.threads <= before.threads
        and after.children <= before.children
    )


def _short(taken: Sample) -> dict[str, int]:
    return {"MB": taken.main_bytes >> 20, "descriptors": taken.descriptors, "threads": taken.threads}
