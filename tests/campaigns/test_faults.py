"""Faults of destinations, database and clock: nothing acknowledged is lost, the service goes on and recovers."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from gateway.commands.demo.dcmtk import echoscu
from gateway.queue.sqlite.database import FILE_NAME
from tests.campaigns.faults_gateway import jobs, node, queue, sending_to, spooled
from tests.campaigns.faults_peers import PARKS, Mood, Patient
from tests.support.campaign import write_figures
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series

JUMPING = Path(__file__).parents[1] / "support" / "jumping_clock"
DAY_S = 86_400
ANSWER_S = 35.0  # while the database is locked: before a modality gives up
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700


IN_FLIGHT = 4  # leases that a jump forward ends: what is on its way then is sent again, in the same bytes
SHORT_AND_LONG = pytest.mark.parametrize(
    "objects", [8, pytest.param(80, marks=pytest.mark.campaign)], ids=["short", "campaign"]
)


@SHORT_AND_LONG
def test_sick_destinations_disturb_nobody_and_get_everything_once_they_are_well(
    tmp_path: Path, objects: int
) -> None:
    parcels = [parcel(file, fallback_uid="") for file in series(objects, size=64)]
    sent = {one.dataset for one in parcels}
    patients = {mood.name.lower(): Patient(mood) for mood in Mood}
    with ExitStack() as open_all:
        for patient in patients.values():
            open_all.enter_context(patient)
        nodes = [node(name, patient) for name, patient in patients.items()]
        gateway = open_all.enter_context(sending_to(tmp_path / "gateway", nodes))
        started = time.monotonic()
        assert set(send(parcels, gateway.dicom_port)) == {SUCCESS}
        wait_for(lambda: set(patients["well"].received) == sent, what="the healthy one served")
        healthy_s = time.monotonic() - started
        for mood in PARKS:
            wait_for(partial(_all_parked, gateway, mood, len(sent)), what=f"{mood}: parked")
        ill = {mood.name.lower() for mood in Mood if mood not in (Mood.WELL, Mood.SLOW)}
        wait_for(lambda: _reasons(gateway).keys() >= ill, what="a reason for each")
        assert all(job["hint"] for job in queue(gateway, "list", "--state", "parked"))
        assert echoscu(gateway.dicom_port)
        reasons = _reasons(gateway)
        for patient in patients.values():
            patient.cure()
        for mood in PARKS:
            queue(gateway, "retry", "--state", "parked", "--destination", mood.name.lower())
        for name, patient in patients.items():
            wait_for(partial(_has_received, patient, sent), what=f"{name} has everything")
        wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
        assert {name: len(patient.received) for name, patient in patients.items()} == dict.fromkeys(
            patients, len(sent)
        )
        wait_for(lambda: spooled(gateway) == [], what="an empty spool")
    if objects > 8:
        write_figures(
            "fault-destinations",
            objects=objects,
            **{"healthy destination served after (s)": round(healthy_s, 1), "missing": 0, "doubled": 0},
            reasons={mood.value: reasons.get(mood.name.lower(), "none") for mood in Mood},
        )


def _parked(gateway: RunningGateway, mood: Mood) -> float:
    return gateway.metric("sealgate_queue_jobs", state="parked", destination=mood.name.lower())


def _all_parked(gateway: RunningGateway, mood: Mood, count: int) -> bool:
    return _parked(gateway, mood) == count


def _has_received(patient: Patient, datasets: set[bytes]) -> bool:
    return set(patient.received) == datasets


def _has_received_number(patient: Patient, count: int) -> bool:
    return len(set(patient.received)) == count


def _refused_again(gateway: RunningGateway, before: float) -> bool:
    return _refusals(gateway) > before


def _reasons(gateway: RunningGateway) -> dict[str, str]:
    """Destination -> why its jobs wait."""
    return {job["destination"]: job["reason"] for job in queue(gateway, "list") if job["reason"]}


@SHORT_AND_LONG
def test_a_clock_that_jumps_delays_nothing_and_loses_nothing(tmp_path: Path, objects: int) -> None:
    clock = tmp_path / "clock"
    _set(clock, 0)
    folders = os.pathsep.join([str(JUMPING), *sys.path])
    environment = {"PYTHONPATH": folders, "JUMPING_CLOCK": str(clock)}
    parcels = [parcel(file, fallback_uid="") for file in series(3 * objects // 2, size=64)]
    figures: dict[str, float] = {}
    with Patient(Mood.REFUSING_A700) as patient:
        nodes = [node("pacs", patient)]
        with sending_to(tmp_path / "gateway", nodes, action="seal", environment=environment) as gateway:
            for number, jump_s in enumerate((-DAY_S, 2 * DAY_S, -30 * DAY_S)):
                patient.mood = Mood.REFUSING_A700
                batch = parcels[number::3]
                assert set(send(batch, gateway.dicom_port)) == {SUCCESS}
                refused = _refusals(gateway)
                wait_for(partial(_refused_again, gateway, refused), what="a delay")
                _set(clock, jump_s)
                patient.cure()
                started, expected = time.monotonic(), len(set(patient.received)) + len(batch)
                wait_for(
                    partial(_has_received_number, patient, expected),
                    what=f"deliveries after {jump_s:+d} s",
                    timeout_s=120 + objects / 4,
                )
                figures[f"{jump_s:+d} s"] = round(time.monotonic() - started, 1)
                assert set(send(batch, gateway.dicom_port)) == {SUCCESS}  # known, whatever the time
            wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
            assert len(set(patient.received)) == len(parcels)
            again = len(patient.received) - len(parcels)
            assert again <= IN_FLIGHT
            _set(clock, -400 * DAY_S)
        with sending_to(tmp_path / "gateway", nodes, action="seal", environment=environment) as gateway:
            assert jobs(gateway) == 0
            wait_for(lambda: spooled(gateway) == [], what="an empty spool")
    if objects > 8:
        figures = {f"after {jump} delivered within (s)": seconds for jump, seconds in figures.items()}
        write_figures("fault-clock", objects=len(parcels), missing=0, **{"sent again": again}, **figures)


def _refusals(gateway: RunningGateway) -> float:
    return gateway.metric("sealgate_failures_total", step="deliver")


def _set(clock: Path, offset_s: int) -> None:
    """The file is read at every look at the clock, so it must never be half there."""
    fresh = clock.with_suffix(".new")
    fresh.write_text(str(offset_s))
    fresh.replace(clock)


@pytest.mark.campaign
def test_a_database_locked_for_longer_than_we_wait_is_answered_a700_and_forgotten_when_free(
    tmp_path: Path,
) -> None:
    parcels = [parcel(file, fallback_uid="") for file in series(20, size=64)]
    first, during, after = parcels[:5], parcels[5:8], parcels[8:]
    patience = {
        "SEALGATE_LIMITS__NETWORK_TIMEOUT_S": "60",  # the default: longer than any wait for the database
        "SEALGATE_QUEUE__LEASE_S": "5",  # after which a delivery that could not be written down is repeated
    }
    with (
        Patient(Mood.SLOW) as patient,
        sending_to(tmp_path / "gateway", [node("pacs", patient)], environment=patience) as gateway,
        closing(sqlite3.connect(tmp_path / "gateway" / "data" / FILE_NAME, isolation_level=None)) as other,
    ):
        assert set(send(first, gateway.dicom_port)) == {SUCCESS}
        other.execute("BEGIN EXCLUSIVE")
        started, answers = time.monotonic(), []
        statuses = send(
            during, gateway.dicom_port, answered=lambda _status: answers.append(time.monotonic() - started)
        )
        slowest_s = max(
            after_s - before_s for before_s, after_s in zip([0.0, *answers], answers, strict=False)
        )
        assert set(statuses) == {OUT_OF_RESOURCES}
        assert slowest_s < ANSWER_S
        assert echoscu(gateway.dicom_port)
        assert not gateway.ready()
        other.execute("ROLLBACK")
        wait_for(gateway.ready, what="ready again", timeout_s=60)
        assert set(send([*during, *after], gateway.dicom_port)) == {SUCCESS}
        wait_for(lambda: len(patient.received) >= len(parcels), what="everything delivered", timeout_s=120)
        wait_for(lambda: jobs(gateway) == 0, what="an empty queue", timeout_s=120)
        assert {one.dataset for one in parcels} == set(patient.received)
    again = len(patient.received) - len(parcels)
    assert again <= len(first)  # deliveries that could not be written down are repeated, with the same bytes
    write_figures(
        "fault-database-locked",
        objects=len(parcels),
        missing=0,
        **{"sent again": again, "slowest answer (s)": round(slowest_s, 1)},
    )
