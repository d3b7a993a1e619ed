"""Back-up and restore: a copy taken from a gateway at work is a gateway that goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.commands.backup import command
from gateway.commands.demo.process import free_port
from gateway.errors import UsageError
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.service.backup import back_up
from gateway.spool import LocalSpool
from tests.peers.test_workers import Fed, configured
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import ct, series
from tests.support.spool import file_of

OBJECTS = 200


def test_a_copy_taken_under_load_delivers_what_was_acknowledged_before_and_nothing_damaged(
    tmp_path: Path, storescp: Storescp
) -> None:
    late = Storescp(tmp_path / "late", ae_title="LATE")  # not there until the copy is restored
    gateway = passing(tmp_path / "first", storescp.port, late.port)
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(OBJECTS, size=64)]
    acknowledged: list[int] = []
    enough = threading.Event()

    def send_all() -> None:
        for start in cycle(range(0, OBJECTS, 4)):
            if enough.is_set():
                return
            called = "NOW" if start % 8 else "LATER"
            assert send(parcels[start : start + 4], gateway.dicom_port, called=called) == [0] * 4
            acknowledged.extend(range(start, start + 4))

    def copied(name: str) -> tuple[dict[str, Any], set[int], int]:
        """What the command says, what was acknowledged before it, and how many while it ran."""
        before = list(acknowledged)
        command = [sys.executable, "-m", "gateway.commands.main", "backup", name, "--json", "--config"]
        copy = subprocess.run(
            [*command, gateway.config], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return json.loads(copy.stdout), set(before), len(acknowledged) - len(before)

    with gateway:
        sender = threading.Thread(target=send_all)
        sender.start()
        wait_for(lambda: len(acknowledged) >= 40, what="work to be copied")
        # On a busy machine the gateway may happen to be idle during a copy, which then shows nothing.
        for attempt in count():
            told, before, during = copied(f"copy-{attempt}")
            if during:
                break
        enough.set()
        sender.join(240)
        assert not sender.is_alive()
        gateway.kill()
    assert (told["missing"], told["damaged"]) == ([], [])
    delivered_before = [path.read_bytes() for path in storescp.files()]

    again = passing(tmp_path / "second", storescp.port, late.port)
    again.prepare()
    shutil.move(tmp_path / f"copy-{attempt}", again.folder / "data")
    due = {number for number in before if number % 8 < 4}
    with late, again:
        wait_for(lambda: len(late.files()) >= len(due), what="what was acknowledged before")
        wait_for(lambda: again.metric("sealgate_queue_jobs") == 0, what="an empty queue")
        assert again.metric("sealgate_parked_total") == 0
    sent = [item.dataset for item in parcels]
    now = [number for number in before if number % 8 >= 4]
    restored = [path.read_bytes() for path in late.files()]
    everything = delivered_before + [path.read_bytes() for path in storescp.files()]
    assert due <= {
        number for number in range(OBJECTS) if any(data.endswith(sent[number]) for data in restored)
    }
    assert all(any(data.endswith(sent[number]) for data in everything) for number in now)
    assert all(any(data.endswith(item) for item in sent) for data in restored + everything)


def passing(folder: Path, now: int, later: int) -> RunningGateway:
    return RunningGateway(
        folder,
        nodes=[
            DemoDestination(name="now", ae_title="VIEWER", port=now),
            DemoDestination(name="later", ae_title="LATE", port=later),
        ],
        routes=[
            DemoRoute(called="NOW", action="pass", to=("now",)),
            DemoRoute(called="LATER", action="pass", to=("later",)),
        ],
        extra="[queue]\nbackoff_s = 0.2\nbackoff_max_s = 0.5",
        dicom_port=free_port(),
        http_port=free_port(),
    )


def test_a_copy_holds_queue_spool_quarantine_and_the_key_of_pseudonyms(tmp_path: Path) -> None:
    config = configured(tmp_path)
    data_dir, copy = config.gateway.data_dir, tmp_path / "copy"
    with Fed(config, ct(rows=64, columns=64), start=False) as fed:
        (data_dir / "pseudonym.key").write_bytes(b"k" * 32)
        (name,) = fed.spool.names()
        fed.spool.quarantine(name)
        orphan = fed.spool.put(b"needed by nothing")
        backup = back_up(data_dir, copy)
    assert (backup.files, backup.missing, backup.damaged) == (1, (), ())
    assert list(LocalSpool(copy).names()) == [name]
    assert orphan not in LocalSpool(copy).names()
    assert (copy / "pseudonym.key").read_bytes() == b"k" * 32
    assert [path.stem for path in (copy / "quarantine").iterdir()] == [name]
    queue = SqliteQueue(copy / "queue.sqlite")
    assert queue.files() == {name}
    queue.close()
    assert copy.stat().st_mode & 0o077 == 0


def test_a_copy_tells_what_the_disk_lost_or_changed(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with Fed(config, ct(rows=64, columns=64), start=False) as fed:
        fed.arrive(ct(rows=64, columns=64, seed=2), pseudonym="1" * 16)
        lost, changed = fed.spool.names()
        fed.spool.remove([lost])
        with file_of(fed.spool, changed).open("r+b") as file:
            file.seek(200)
            file.write(b"\xff\xff\xff\xff")
        backup = back_up(config.gateway.data_dir, tmp_path / "copy")
    assert (backup.missing, backup.damaged) == ((lost,), (changed,))


def test_a_copy_never_overwrites_another_and_an_unfinished_one_does_not_look_whole(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with pytest.raises(UsageError, match="no queue"):
        back_up(config.gateway.data_dir, tmp_path / "copy")
    with Fed(config, ct(rows=64, columns=64), start=False):
        back_up(config.gateway.data_dir, tmp_path / "copy")
        with pytest.raises(UsageError, match="exists"):
            back_up(config.gateway.data_dir, tmp_path / "copy")
        (tmp_path / "other.partial").mkdir()
        with pytest.raises(UsageError, match="partial"):
            back_up(config.gateway.data_dir, tmp_path / "other")
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


def test_a_copy_on_another_disk_is_no_link(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.exists() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second disk at /dev/shm")
    config, copy = configured(tmp_path), elsewhere / f"sealgate-test-{tmp_path.name}"
    try:
        with Fed(config, ct(rows=64, columns=64), start=False) as fed:
            (name,) = fed.spool.names()
            back_up(config.gateway.data_dir, copy)
            assert LocalSpool(copy).read(name) == fed.spool.read(name)
            assert file_of(LocalSpool(copy), name).stat().st_nlink == 1
    finally:
        shutil.rmtree(copy, ignore_errors=True)
