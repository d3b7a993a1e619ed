"""The network is cut in the middle of an object, with and without a word, on either side of the gateway."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from gateway.commands.demo.process import Process, free_port, program
from tests.campaigns.faults_gateway import jobs, node, sending_to, spooled
from tests.campaigns.faults_network import Cut, Wire, wire
from tests.campaigns.faults_peers import Mood, Patient
from tests.support.campaign import write_figures
from tests.support.gateway import DemoDestination, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.modality_process import acknowledged
from tests.support.objects import ct

pytestmark = [pytest.mark.campaign, pytest.mark.parametrize("how", list(Cut), ids=lambda how: how.name)]

KBIT_S = 4000
LARGE = 1024  # rows and columns of 16 bits: 2 MiB take 4 s at that rate
FREED_S = 20.0  # limits.network_timeout_s is 5 s here; a connection that is cut must be given up soon after


def large(number: int) -> bytes:
    return ct(rows=LARGE, columns=LARGE, seed=100 + number, number=number)


def test_a_modality_cut_off_inside_an_object_is_given_up_and_served_when_it_is_back(
    tmp_path: Path, how: Cut
) -> None:
    files = [large(number) for number in range(2)]
    outbox, journal = tmp_path / "outbox", tmp_path / "journal"
    outbox.mkdir()
    for number, file in enumerate(files):
        (outbox / f"{number}-SEALGATE.dcm").write_bytes(file)
    everywhere = {"SEALGATE_LISTENER__HOST": "0.0.0.0"}
    with (
        wire(int(how is Cut.LINK_DOWN)) as joined,
        Patient(Mood.WELL) as patient,
        sending_to(tmp_path / "gateway", [node("pacs", patient)], environment=everywhere) as gateway,
    ):
        joined.slow_down(KBIT_S)
        modality = modality_behind(joined, gateway, outbox, journal, tmp_path / "modality.log")
        modality.start()
        try:
            wait_for(lambda: gateway.metric("sealgate_associations_active") == 1, what="an association")
            time.sleep(1.5)  # some hundred kilobytes of the first object
            assert not acknowledged(journal)
            joined.cut(how)
            started = time.monotonic()
            other = parcel(ct(rows=64, columns=64, seed=99), fallback_uid="")
            assert send([other], gateway.dicom_port) == [0]
            wait_for(
                lambda: gateway.metric("sealgate_associations_active") == 0,
                what="the slot",
                timeout_s=FREED_S,
            )
            freed_s = time.monotonic() - started
            assert gateway.metric("sealgate_received_total") == 1
            assert len(list((tmp_path / "gateway" / "data" / "spool" / "tmp").iterdir())) == 0
            joined.mend(how)
            joined.speed_up()
            wait_for(
                lambda: len(acknowledged(journal)) == len(files), what="both acknowledged", timeout_s=120
            )
        finally:
            modality.kill()
        wait_for(lambda: jobs(gateway) == 0, what="an empty queue")
        expected = {other.dataset, *(parcel(file, fallback_uid="").dataset for file in files)}
        assert set(patient.received) == expected
        assert len(patient.received) == len(expected)
        wait_for(lambda: spooled(gateway) == [], what="an empty spool")
    figures = {"slot freed after (s)": round(freed_s, 1)}
    write_figures(f"fault-modality-{how.name.lower()}", objects=3, missing=0, doubled=0, **figures)


def modality_behind(joined: Wire, gateway: RunningGateway, outbox: Path, journal: Path, log: Path) -> Process:
    arguments = [str(outbox), str(journal), str(gateway.dicom_port), joined.near]
    command = [*joined.inside, sys.executable, "-m", "tests.support.modality_process", *arguments]
    return Process(command, log=log, environment={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_a_pacs_cut_off_inside_an_object_gets_it_whole_when_it_is_back(tmp_path: Path, how: Cut) -> None:
    parcels = [parcel(large(number), fallback_uid="") for number in range(3)]
    received = tmp_path / "received"
    received.mkdir()
    with wire(2 + int(how is Cut.LINK_DOWN)) as joined, Patient(Mood.WELL) as healthy:
        port = free_port()
        storescp = [str(program("storescp", "dcmtk")), "-aet", "PACS", "+xa", "+B", "-od", str(received)]
        pacs = Process([*joined.inside, *storescp, str(port)], log=tmp_path / "storescp.log")
        nodes = [
            DemoDestination(name="pacs", ae_title="PACS", host=joined.far, port=port),
            node("healthy", healthy),
        ]
        pacs.start()
        try:
            with sending_to(tmp_path / "gateway", nodes) as gateway:
                joined.slow_down(KBIT_S)
                assert set(send(parcels, gateway.dicom_port)) == {0}
                time.sleep(1.5)
                joined.cut(how)
                started = time.monotonic()
                wait_for(lambda: len(healthy.received) == len(parcels), what="the healthy one", timeout_s=10)
                wait_for(
                    lambda: gateway.metric("sealgate_failures_total", step="deliver") >= 1,
                    what="noticing",
                    timeout_s=FREED_S,
                )
                noticed_s = time.monotonic() - started
                joined.mend(how)
                joined.speed_up()
                wait_for(lambda: jobs(gateway) == 0, what="everything delivered", timeout_s=120)
                wait_for(lambda: spooled(gateway) == [], what="an empty spool")
        finally:
            pacs.kill()
    check(received, parcels)
    figures = {"noticed after (s)": round(noticed_s, 1)}
    write_figures(f"fault-pacs-{how.name.lower()}", objects=len(parcels), missing=0, wrong=0, **figures)


def check(received: Path, parcels: list[Parcel]) -> None:
    """Each object is in the folder, whole; what was broken off was not kept by the PACS or was overwritten."""
    stored = [parcel(path.read_bytes(), fallback_uid="") for path in received.iterdir()]
    assert {one.sop_instance: one.dataset for one in stored} == {
        one.sop_instance: one.dataset for one in parcels
    }
    assert len(stored) == len(parcels)
