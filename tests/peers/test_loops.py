"""Objects that would go round in a circle are kept, and people are told: none counts as delivered."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.commands.demo.process import free_port
from gateway.queue import Job, State
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.spool import LocalSpool
from tests.cli.terminal import sealgate
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct
from tests.support.storing_peer import SlowLine, StoringPeer

QUICK = "[queue]\nbackoff_s = 0.05\nbackoff_max_s = 0.2\n"


def gateway(
    folder: Path, *nodes: DemoDestination, port: int, action: str = "pass", extra: str = ""
) -> RunningGateway:
    return RunningGateway(
        folder,
        nodes=nodes,
        routes=[
            DemoRoute(called="SEALGATE", action=action, to=(nodes[0].name,)),
            DemoRoute(called="BACK", action="pass", to=(nodes[-1].name,)),
        ],
        extra=QUICK + extra,
        dicom_port=port,
        http_port=free_port(),
    )


def to(name: str, port: int, *, ae_title: str = "SEALGATE", extra: str = "") -> DemoDestination:
    return DemoDestination(name=name, ae_title=ae_title, port=port, extra=extra)


def jobs(of: RunningGateway, state: State | None = None) -> list[Job]:
    admin = SqliteQueueAdmin(of.folder / "data" / "queue.sqlite")
    try:
        return admin.list(state=state)
    finally:
        admin.close()


def until_parked(of: RunningGateway, count: int = 1) -> list[Job]:
    wait_for(lambda: len(jobs(of, State.PARKED)) == count, what="a parked job")
    return jobs(of, State.PARKED)


def store(of: RunningGateway, *files: bytes) -> None:
    assert send([parcel(file, fallback_uid="1.2.3") for file in files], of.dicom_port) == [0] * len(files)


def kept(of: RunningGateway) -> int:
    return len(list(LocalSpool(of.folder / "data").names()))


def test_check_refuses_a_destination_that_is_the_gateway_itself(tmp_path: Path) -> None:
    port = free_port()
    prepared = gateway(tmp_path, to("pacs", free_port()), to("myself", port), port=port)
    prepared.prepare()
    done = sealgate(["check", "--config", str(prepared.config)], tmp_path)
    assert done.returncode == 2
    assert f"destination.1: myself (127.0.0.1:{port}) is this gateway's own listener.port" in done.stderr


def test_what_leads_back_to_the_gateway_is_parked_with_the_reason_and_kept(tmp_path: Path) -> None:
    """Through a relay, so that no address tells."""
    port = free_port()
    with SlowLine(port, bytes_s=0) as relay, gateway(tmp_path, to("relay", relay.port), port=port) as one:
        store(one, ct(rows=16, columns=16), ct(rows=16, columns=16, seed=1))
        parked = until_parked(one, 2)
        assert {job.reason for job in parked} == {"loop"}
        assert all("leads back to this gateway" in (job.hint or "") for job in parked)
        assert kept(one) == 2
        assert '"event": "delivered"' not in one.log
        done = sealgate(["check", "--config", str(one.config), "--echo", "--json"], tmp_path)
        assert done.returncode == 3
        assert [(line["ok"], line["reason"]) for line in map(json.loads, done.stdout.splitlines())] == [
            (False, "loop")
        ]


@pytest.mark.parametrize("action", ["pass", "seal"])
def test_two_gateways_that_send_to_each_other_keep_what_would_go_round(tmp_path: Path, action: str) -> None:
    first_port, second_port = free_port(), free_port()
    with (
        gateway(tmp_path / "1", to("second", second_port), port=first_port, action=action) as first,
        gateway(tmp_path / "2", to("first", first_port), port=second_port) as second,
    ):
        store(first, ct(rows=64, columns=64))
        (parked,) = until_parked(second)
        assert "loop: the object has been on that gateway before" in (parked.hint or "")
        assert kept(second) == 1
        assert '"code": "loop"' in first.log
        assert first.metric("sealgate_failures_total", step="receive", code="loop") == 1


def test_three_gateways_in_a_circle_keep_what_would_go_round(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        ring = [
            stack.enter_context(gateway(tmp_path / str(n), to("next", ports[(n + 1) % 3]), port=ports[n]))
            for n in range(3)
        ]
        store(ring[0], ct(rows=16, columns=16))
        (parked,) = until_parked(ring[2])
        assert "loop" in (parked.hint or "")
        assert kept(ring[2]) == 1


def test_a_gateway_that_gives_back_what_it_was_sent_for_is_no_loop(tmp_path: Path) -> None:
    """One passes to another that seals, and gets the sealed object by a route of its own, on to the archive."""
    first_port, second_port = free_port(), free_port()
    with (
        StoringPeer() as archive,
        gateway(
            tmp_path / "1",
            to("sealer", second_port),
            to("archive", archive.port, ae_title="PEER"),
            port=first_port,
        ) as first,
        gateway(tmp_path / "2", to("back", first_port, ae_title="BACK"), port=second_port, action="seal"),
    ):
        store(first, ct(rows=64, columns=64))
        wait_for(lambda: len(archive.received) == 1, what="the sealed object in the archive")
        assert jobs(first, State.PARKED) == []


def test_what_a_gateway_sends_again_is_a_repetition_and_no_loop(tmp_path: Path) -> None:
    """A chain of two gateways, of which the first one did not get the answer the first time."""
    first_port, second_port, third_port = (free_port() for _ in range(3))
    with (
        StoringPeer() as archive,
        gateway(tmp_path / "3", to("archive", archive.port, ae_title="PEER"), port=third_port),
        gateway(tmp_path / "2", to("third", third_port), port=second_port) as second,
        gateway(
            tmp_path / "1", to("second", second_port), port=first_port, extra="keep_hours = 1\n"
        ) as first,
    ):
        store(first, ct(rows=16, columns=16))
        wait_for(lambda: len(archive.received) == 1, what="the object in the archive")
        first.until_metric("sealgate_forwarded_total", 1)
        (done,) = jobs(first, State.DONE)
        again = sealgate(["queue", "resend", str(done.id), "--config", str(first.config)], tmp_path)
        assert again.returncode == 0, again.stderr
        first.until_metric("sealgate_forwarded_total", 2)
        second.until_metric("sealgate_repeated_total", 1)
        assert jobs(first, State.PARKED) == jobs(second, State.PARKED) == []
