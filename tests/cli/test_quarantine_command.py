"""`sealgate quarantine`: people see, save, release and drop what could not be sealed, verified or read."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.commands.demo.process import free_port
from gateway.commands.quarantine import command
from gateway.errors import UsageError
from gateway.queue.model import State
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct

GARBAGE = Parcel("1.2.840.10008.5.1.4.1.1.7", "2.25.1", "1.2.840.10008.1.2.1", b"garbage" * 99)


@pytest.fixture
def gateway(tmp_path: Path, storescp: Storescp) -> Iterator[RunningGateway]:
    running = RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="pacs", ae_title=storescp.ae_title, port=storescp.port)],
        routes=[
            DemoRoute(called="SEALGATE", action="seal", to=("pacs",)),
            DemoRoute(called="VERIFY", action="verify", to=("pacs",)),
        ],
    )
    running.environment["SEALGATE_GATEWAY__WORKERS"] = "1"
    with running:
        yield running


def run(gateway: RunningGateway, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--config", str(gateway.config)])


def entries(gateway: RunningGateway) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(gateway, "list", "--json").stdout.splitlines()]


def test_quarantined_objects_are_listed_saved_released_and_dropped(
    gateway: RunningGateway, storescp: Storescp, tmp_path: Path
) -> None:
    unsealed = parcel(ct(rows=64, columns=64), fallback_uid="1.2.3")
    assert send([GARBAGE], gateway.dicom_port) == [0]
    wait_for(lambda: len(entries(gateway)) == 1, what="garbage in quarantine")
    assert send([unsealed], gateway.dicom_port, called="VERIFY") == [0]
    wait_for(lambda: len(entries(gateway)) == 2, what="what does not verify in quarantine")
    garbage, unverified = entries(gateway)
    assert (garbage["reason"], garbage["calling"], garbage["called"]) == (
        "unreadable",
        "MODALITY",
        "SEALGATE",
    )
    assert (unverified["reason"], unverified["action"]) == ("unsealed", "verify")
    assert garbage["hint"] and garbage["at"].startswith("20") and garbage["bytes"] > len(GARBAGE.dataset)
    gateway.until_metric("sealgate_quarantine_objects", 2)
    gateway.until_metric("sealgate_quarantine_bytes", garbage["bytes"] + unverified["bytes"])
    told = run(gateway, "list").stdout + run(gateway, "show", unverified["id"][:10]).stdout
    assert "unsealed" in told and "SYN-" not in told and "1.2." not in told

    saved = tmp_path / "saved.dcm"
    assert run(gateway, "export", garbage["id"], str(saved)).exit_code == 0
    assert saved.read_bytes().endswith(GARBAGE.dataset)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert isinstance(run(gateway, "export", garbage["id"], str(saved)).exception, UsageError)

    before = gateway.metric("sealgate_quarantined_total")
    assert run(gateway, "release", garbage["id"]).exit_code == 0
    wait_for(lambda: gateway.metric("sealgate_quarantined_total") > before, what="a second attempt")
    wait_for(lambda: len(entries(gateway)) == 2, what="garbage back in quarantine")

    assert run(gateway, "release", "--as-received", unverified["id"]).exit_code == 0
    wait_for(lambda: len(storescp.files()) == 1, what="what was released")
    assert storescp.files()[0].read_bytes().endswith(unsealed.dataset)

    wait_for(lambda: _job(gateway, garbage["job"]) is State.PARKED, what="the garbage parked again")
    assert run(gateway, "drop", garbage["id"]).exit_code == 0
    assert entries(gateway) == []
    assert _job(gateway, garbage["job"]) in (State.DROPPED, None)


def test_what_was_refused_can_be_saved_but_not_released(tmp_path: Path) -> None:
    gateway = RunningGateway(
        tmp_path / "gateway",
        nodes=[DemoDestination(name="pacs", ae_title="PACS", port=free_port())],
        routes=[DemoRoute(called="SEALGATE", action="pass", to=("pacs",))],
    )
    gateway.environment["SEALGATE_LISTENER__UNREADABLE"] = "refuse"
    with gateway:
        assert send([GARBAGE], gateway.dicom_port) == [0xC000]
        (refused,) = entries(gateway)
        assert refused["job"] is None
        done = run(gateway, "release", refused["id"])
        assert (done.exit_code, len(entries(gateway))) == (3, 1)
        assert isinstance(run(gateway, "show", "nothing").exception, UsageError)
        assert run(gateway, "drop", refused["id"]).exit_code == 0
        assert entries(gateway) == []


def _job(gateway: RunningGateway, job_id: int) -> State | None:
    desk = SqliteQueueAdmin(gateway.folder / "data" / "queue.sqlite")
    try:
        job = desk.show(job_id)
        return None if job is None else job.state
    finally:
        desk.close()
