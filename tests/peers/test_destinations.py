"""Destinations do not disturb each other: each has attempts, a rate, hours, a stand-in and pauses of its own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread

from gateway.commands.demo.process import free_port
from gateway.commands.queue import command
from gateway.dimse.statuses import DUPLICATE_INSTANCE, OUT_OF_RESOURCES
from gateway.queue import Job, State
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from tests.cli.terminal import sealgate
from tests.support.alone import alone
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct, series
from tests.support.storing_peer import StoringPeer

QUICK = "backoff_s = 0.05\nbackoff_max_s = 0.2"
HANG_S = 120.0


def node(name: str, port: int, *lines: str) -> DemoDestination:
    return DemoDestination(name=name, ae_title="PEER", port=port, extra="\n".join(lines))


def passing(folder: Path, *nodes: DemoDestination, to: tuple[str, ...] = ()) -> RunningGateway:
    names = to or tuple(node.name for node in nodes)
    return RunningGateway(
        folder,
        nodes=nodes,
        routes=[DemoRoute(called="SEALGATE", action="pass", to=names)],
        extra=f"[queue]\n{QUICK}",
        dicom_port=free_port(),
        http_port=free_port(),
    )


def jobs(gateway: RunningGateway, destination: str, state: State | None = None) -> list[Job]:
    desk = SqliteQueueAdmin(gateway.folder / "data" / "queue.sqlite")
    found = desk.list(destination=destination, state=state)
    desk.close()
    return found


def store(gateway: RunningGateway, *files: bytes) -> None:
    statuses = send((parcel(file, fallback_uid="1.2.3") for file in files), gateway.dicom_port)
    assert set(statuses) == {0}


@contextmanager
def silent_peer() -> Iterator[int]:
    """The port of a peer that takes connections and all that is sent, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield int(listening.getsockname()[1])


def test_stalled_refusing_and_dead_destinations_do_not_delay_a_good_one(tmp_path: Path) -> None:
    """And each has attempts of its own. The slow one answers only when the good one has everything."""
    served = threading.Event()
    with ExitStack() as stack:
        good = stack.enter_context(StoringPeer())
        slow = stack.enter_context(StoringPeer(answer=lambda _n: 0 if served.wait(HANG_S) else 0x0110))
        stack.callback(served.set)
        once, thrice = (stack.enter_context(StoringPeer(answer=lambda _n: 0xA700)) for _ in range(2))
        silent = stack.enter_context(silent_peer())
        nodes = [
            node("silent", silent),
            node("slow", slow.port),
            node("once", once.port, "attempts = 1"),
            node("thrice", thrice.port, "attempts = 3"),
            node("dead", free_port()),
            node("good", good.port),
        ]
        gateway = stack.enter_context(passing(tmp_path, *nodes))
        store(gateway, *series(20, size=32))
        wait_for(lambda: len(good.received) == 20, what="delivery to the good one")
        assert slow.received == []
        served.set()
        wait_for(lambda: len(slow.received) == 20, what="delivery to the slow one")
        assert len(jobs(gateway, "silent")) == len(jobs(gateway, "dead")) == 20

        def parked(name: str) -> bool:
            return len(jobs(gateway, name, State.PARKED)) == 20

        for name in ("once", "thrice"):
            wait_for(partial(parked, name), what=f"the last attempts: {name}")
        assert {job.attempts for job in jobs(gateway, "once", State.PARKED)} == {1}
        assert (once.requests, thrice.requests) == (20, 60)
        gateway.kill()  # the silent one would hold up the orderly end


def test_a_bandwidth_limit_holds_over_all_associations_of_a_destination(tmp_path: Path) -> None:
    """40 objects of 51 kB at 0.5 MB/s take at least 4 s, less the burst of a quarter of a second."""
    with StoringPeer() as limited, StoringPeer() as free:
        nodes = [
            node("limited", limited.port, "bandwidth_bytes_s = 500_000", "associations = 2"),
            node("free", free.port),
        ]
        with passing(tmp_path, *nodes) as gateway:
            files = series(40, size=160)
            taken: list[float] = []
            limited.answer = lambda _n: taken.append(time.monotonic()) or 0  # type: ignore[func-returns-value]
            started = time.monotonic()
            store(gateway, *files)
            wait_for(lambda: len(free.received) == 40, what="delivery to the free one")
            wait_for(lambda: len(limited.received) == 40, what="delivery to the limited one")
            sent = sum(len(data) for _, data in limited.received)
            assert max(taken) - started > sent / 500_000 - 0.25


def window(*, opens_in_h: int, for_h: int) -> str:
    opens = datetime.now() + timedelta(hours=opens_in_h)
    return f'hours = "{opens:%H:%M}-{opens + timedelta(hours=for_h):%H:%M}"'


def test_outside_its_hours_a_destination_gets_nothing_and_no_attempt_is_counted(tmp_path: Path) -> None:
    with StoringPeer() as night, StoringPeer() as always:
        closed, opened = window(opens_in_h=3, for_h=2), window(opens_in_h=-1, for_h=3)
        nodes = [node("night", night.port, closed), node("always", always.port)]
        with passing(tmp_path, *nodes) as gateway:
            store(gateway, *series(3, size=32))
            wait_for(lambda: len(always.received) == 3, what="the other destination")
            time.sleep(1.2)  # longer than the pause between two looks
            assert [(job.state, job.attempts) for job in jobs(gateway, "night")] == [(State.READY, 0)] * 3
            assert night.associations == 0
            gateway.config.write_text(gateway.config.read_text().replace(closed, opened))
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(night.received) == 3, what="delivery when it opens")


def test_objects_that_a_destination_does_not_take_go_to_its_stand_in_as_well(tmp_path: Path) -> None:
    """One destination is down and gets its objects when it is back; one refuses for good: its jobs stay parked."""
    port, after = free_port(), "failover_after_s = 0.5"
    with StoringPeer() as other, StoringPeer() as third, StoringPeer(answer=lambda _n: 0xC000) as strict:
        nodes = [
            node("first", port, 'failover = "other"', after),
            node("strict", strict.port, 'failover = "third"', after),
            node("other", other.port),
            node("third", third.port),
        ]
        with passing(tmp_path, *nodes, to=("first", "strict")) as gateway:
            store(gateway, *series(3, size=32))
            wait_for(
                lambda: len(other.received) == len(third.received) == 3, what="delivery to the stand-ins"
            )
            assert len(jobs(gateway, "first")) == 3, "it is still to get them"
            wait_for(lambda: len(jobs(gateway, "other", State.DONE)) == 3, what="deliveries written down")
            assert [job.instead_of for job in jobs(gateway, "other", State.DONE)] == ["first"] * 3
            assert {job.reason for job in jobs(gateway, "strict", State.PARKED)} == {"refused-by-peer"}
            gateway.until_metric("sealgate_failover_total", 3, destination="first", to="other")
            with StoringPeer(port=port) as first:
                wait_for(lambda: len(first.received) == 3, what="delivery to the first, too")
                assert sorted(first.received) == sorted(other.received)


def steer(gateway: RunningGateway, *arguments: str) -> str:
    done = CliRunner().invoke(command, [*arguments, "--config", str(gateway.config)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_destination_stays_paused_over_a_restart_until_it_is_resumed(tmp_path: Path) -> None:
    with StoringPeer() as pacs, StoringPeer() as other:
        gateway = passing(tmp_path, node("pacs", pacs.port), node("other", other.port))
        with gateway:
            assert "pacs is paused" in steer(gateway, "pause", "pacs")
            store(gateway, *series(3, size=32))
            wait_for(lambda: len(other.received) == 3, what="the other destination")
        with gateway:
            store(gateway, ct(rows=16, columns=16))
            wait_for(lambda: len(other.received) == 4, what="the other destination")
            assert pacs.received == []
            assert "pacs is paused since" in steer(gateway, "list")
            assert "paused since" in steer(gateway, "destinations")
            steer(gateway, "resume", "pacs")
            wait_for(lambda: len(pacs.received) == 4, what="delivery after it was resumed")
            assert "paused" not in steer(gateway, "list")


def test_urgent_studies_are_sent_first_and_say_so(tmp_path: Path) -> None:
    """By the route, or because the C-STORE request was of high priority; also past what was claimed already."""
    first = threading.Event()
    with StoringPeer(answer=lambda _n: 0 if first.wait(HANG_S) else 0x0110) as pacs:
        gateway = passing(tmp_path, node("pacs", pacs.port, "associations = 1"))
        gateway.extra += f"\n[limits]\ndimse_timeout_s = {HANG_S}"
        gateway.routes = [
            *gateway.routes,
            DemoRoute(called="STROKE", action="pass", to=("pacs",), extra='priority = "urgent"'),
            DemoRoute(called="NIGHTLY", action="pass", to=("pacs",), extra='priority = "low"'),
        ]
        with gateway:
            for called, priority, seed in (
                ("NIGHTLY", 2, 1),
                ("SEALGATE", 2, 2),
                ("SEALGATE", 0, 3),
                ("STROKE", 2, 4),
                ("SEALGATE", 1, 5),
            ):
                item = parcel(ct(rows=16, columns=16, seed=seed), fallback_uid="1.2.3")
                sent = send([replace(item, priority=priority)], gateway.dicom_port, called=called)
                assert sent == [0]
                if seed == 1:  # under way when the others come
                    wait_for(lambda: pacs.requests == 1, what="the first request")
            first.set()
            wait_for(lambda: len(pacs.received) == 5, what="all five")
            patients = [data[data.index(b"SYN-") :][:9] for _, data in pacs.received]
            assert patients == [b"SYN-00001", b"SYN-00004", b"SYN-00005", b"SYN-00002", b"SYN-00003"]
            assert pacs.priorities == [2, 1, 1, 0, 0]


def test_other_bytes_under_a_known_uid_are_sent_held_or_refused_but_never_lost_in_silence(
    tmp_path: Path,
) -> None:
    versions = [ct(rows=16, columns=16, ImageComments=f"version {number}") for number in range(4)]

    def carried(number: int) -> bool:
        return any(f"version {number}".encode() in data for _, data in pacs.received)

    def send_version(number: int) -> list[int]:
        return send([parcel(versions[number], fallback_uid="1.2.3")], gateway.dicom_port)

    def policy(changed: str) -> None:
        text = re.sub(r'changed = "\w+"', f'changed = "{changed}"', gateway.config.read_text())
        gateway.config.write_text(text)
        assert gateway.process is not None
        reloads = gateway.log.count('"reloaded"')
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: gateway.log.count('"reloaded"') > reloads, what="the reload")

    with StoringPeer() as pacs:
        gateway = passing(tmp_path, node("pacs", pacs.port))
        gateway.extra += '\nchanged = "update"'
        with gateway:
            assert send_version(0) == send_version(1) == [0]
            wait_for(lambda: carried(0) and carried(1), what="the update")
            policy("hold")
            assert send_version(2) == [0]
            (held,) = jobs(gateway, "pacs", State.HELD)
            assert held.reason == "changed-instance"
            assert not carried(2)
            steer(gateway, "release", str(held.id))
            wait_for(lambda: carried(2), what="delivery after it was released")
            policy("refuse")
            assert send_version(3) == [DUPLICATE_INSTANCE]
            assert send_version(2) == [0], "known bytes are no change"
            wait_for(lambda: jobs(gateway, "pacs") == [], what="deliveries written down")
            assert len(pacs.received) == 3
            for changed in ("update", "hold", "refuse"):
                gateway.until_metric("sealgate_changed_total", 1, policy=changed)


def test_what_is_kept_is_sent_again_byte_for_byte_and_the_disk_heals_by_itself() -> None:
    """In a file system of memory: there the room can be taken and given back."""
    disk = Path("/dev/shm")
    with alone("shm"), StoringPeer() as pacs, tempfile.TemporaryDirectory(dir=disk) as folder:
        gateway = passing(Path(folder), node("pacs", pacs.port))
        watermark = shutil.disk_usage(disk).free - (60 << 20)
        gateway.extra += f"\nkeep_hours = 1\n[limits]\nfree_bytes_min = {watermark}"
        with gateway:
            files = series(3, size=32)
            store(gateway, *files[:2])
            wait_for(lambda: len(jobs(gateway, "pacs", State.DONE)) == 2, what="delivery")
            steer(gateway, "resend", "--study", dcmread(io.BytesIO(files[0])).StudyInstanceUID)
            wait_for(lambda: len(pacs.received) == 4, what="the same again")
            assert sorted(pacs.received[2:]) == sorted(pacs.received[:2])
            late = [parcel(files[2], fallback_uid="1.2.3")]
            with tempfile.NamedTemporaryFile(dir=disk) as ballast:
                os.posix_fallocate(ballast.fileno(), 0, 120 << 20)
                assert send(late, gateway.dicom_port) == [OUT_OF_RESOURCES]
                assert not gateway.ready()
                kept = Path(folder) / "data" / "spool"
                wait_for(lambda: list(kept.rglob("*.dcm")) == [], what="room made of what was kept")
            assert send(late, gateway.dicom_port) == [0]
            wait_for(lambda: len(pacs.received) == 5, what="delivery when there is room again")
            wait_for(gateway.ready, what="readiness")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots"])
def test_a_destination_whose_name_does_not_resolve_is_unreachable_and_loses_no_attempt(
    tmp_path: Path, host: str
) -> None:
    with StoringPeer() as good:
        nameless = DemoDestination(
            name="nameless", ae_title="PEER", port=104, host=host, extra="attempts = 1"
        )
        with passing(tmp_path, nameless, node("good", good.port)) as gateway:
            store(gateway, ct(rows=16, columns=16))
            wait_for(lambda: len(good.received) == 1, what="delivery to the good one")
            gateway.until_logged('"event": "unreachable"')

            def tried_again() -> bool:
                return gateway.metric("sealgate_failures_total", code="peer-unreachable") >= 3

            wait_for(tried_again, what="three attempts to reach it")
            (job,) = jobs(gateway, "nameless")
            assert job.state in (State.READY, State.LEASED)
            assert job.attempts == 0
            assert "DNS" in (job.hint or "")
            assert gateway.metric("sealgate_destination_up", destination="nameless") == 0
            assert gateway.metric("sealgate_failures_total", code="internal") == 0
            listed = sealgate(["queue", "destinations", "--config", str(gateway.config)], tmp_path)
            assert re.search(r"nameless +unreachable since", listed.stdout)
            assert re.search(r"good +works", listed.stdout)


def test_check_asks_every_destination_after_one_whose_name_does_not_resolve(tmp_path: Path) -> None:
    with StoringPeer() as good:
        nodes = [
            DemoDestination(name="nameless", ae_title="PEER", port=104, host="no-such-host.invalid"),
            node("dead", free_port()),
            node("good", good.port),
        ]
        gateway = passing(tmp_path, *nodes)
        gateway.prepare()
        done = sealgate(["check", "--config", str(gateway.config), "--echo", "--json"], tmp_path)
        assert done.returncode == 3
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(line["destination"], line["ok"], line["reason"]) for line in lines] == [
            ("nameless", False, "peer-unreachable"),
            ("dead", False, "peer-unreachable"),
            ("good", True, None),
        ]
        assert "DNS" in done.stderr
        assert "Traceback" not in done.stderr
