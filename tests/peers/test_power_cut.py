"""After a power cut at any moment no acknowledged object is missing, and nothing that was delivered is in no ledger.

The gateway's own system calls, replayed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.commands.demo.process import Process
from gateway.ledger.entry import INSTANCE_AT
from gateway.ledger.folder import OpenBundle
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue.sqlite.database import FILE_NAME
from tests.support.campaign import write_figures
from tests.support.gateway import RunningGateway, sealing_to, wait_for
from tests.support.modality import parcel, send
from tests.support.objects import series
from tests.support.orthanc import Orthanc
from tests.support.power_cut import COMMAND, Call, Disk, calls, outcomes

STORE_RESPONSE = bytes.fromhex("00000001020000000180")  # Command Field (0000,0100) is 8001H
SUCCESS = bytes.fromhex("0000000902000000") + b"\0\0"  # Status (0000,0900)


class Recorded:
    """A gateway whose system calls are written to `trace`."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway, self.trace = gateway, gateway.folder / "calls.txt"

    def __enter__(self) -> RunningGateway:
        gateway = self.gateway
        gateway.prepare()
        serve = [gateway.python, "-m", "gateway.commands.main", "serve", "--config", str(gateway.config)]
        gateway.process = Process(
            [*COMMAND, "-o", str(self.trace), *serve],
            log=gateway.folder / "gateway.log",
            environment=gateway.environment,
        )
        gateway.process.start()
        gateway.process.wait_until(gateway.ready, what="the gateway", timeout_s=480)
        return gateway

    def __exit__(self, *_: object) -> None:
        process = self.gateway.process
        assert process is not None
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)  # strace itself would only detach
        deadline = time.monotonic() + 240
        while process.running and time.monotonic() < deadline:
            time.sleep(0.1)
        process.stop()


@pytest.mark.parametrize(
    ("objects", "cuts"),
    [(6, 40), pytest.param(60, 800, marks=pytest.mark.campaign)],
    ids=["short", "campaign"],
)
def test_no_acknowledged_object_is_missing_after_a_power_cut_at_any_moment(
    tmp_path: Path, orthanc: Orthanc, objects: int, cuts: int
) -> None:
    recorded = Recorded(sealing_to(tmp_path / "gateway", orthanc))
    parcels = [parcel(file, fallback_uid="1.2.3") for file in series(objects, size=96)]
    with recorded as gateway:
        assert set(send(parcels, gateway.dicom_port)) == {0}
        wait_for(lambda: orthanc.count() == objects, what="all objects delivered", timeout_s=300)
        wait_for(lambda: gateway.metric("sealgate_queue_jobs") == 0, what="an empty queue")
    data = gateway.folder / "data"
    pseudonyms = {one.sop_instance: Pseudonyms.load(data).of(one.sop_instance) for one in parcels}
    every = list(calls(recorded.trace))
    draw = random.Random(objects)
    # in the middle of things, and right after each answer: that is when something may be missing
    answered = [n for n, call in enumerate(every) if _told(call, "sendto", pseudonyms)]
    assert len(answered) >= objects
    chosen = {*answered, *draw.sample(range(answered[0], len(every)), k=min(cuts, len(every) - answered[0]))}
    checked = 0
    for number, held, acknowledged, accepted in _replayed(every, data, pseudonyms):
        if number not in chosen:
            continue
        for how, persists in outcomes(number).items():
            found = tmp_path / "found"
            held.write_out(found, persists)
            missing = [
                uid for uid in acknowledged - accepted if not _kept(found, data, pseudonyms[uid], held)
            ]
            assert not missing, f"{len(missing)} missing after call {number} when {how} unsafe is there"
            unlogged = [uid for uid in accepted if not _logged(found, pseudonyms[uid])]
            assert not unlogged, f"delivered and in no ledger after call {number} when {how} unsafe is there"
            shutil.rmtree(found)
            checked += 1
    print(f"power cut: {objects} objects, {len(every)} calls, {checked} states of the disk, nothing missing")
    assert checked >= 3 * objects
    if objects > 6:
        figures = {"system calls": len(every), "states of the disk": checked, "missing": 0}
        write_figures("power-cut", seed=objects, objects=objects, **figures)


def _told(call: Call, name: str, uids: dict[str, str]) -> set[str]:
    """SOP Instance UIDs whose C-STORE was answered with success in this call."""
    if call.name != name:
        return set()
    told = b"".join(call.texts)
    if STORE_RESPONSE not in told or SUCCESS not in told:
        return set()
    return {uid for uid in uids if uid.encode() in told}


def _replayed(
    every: list[Call], data: Path, uids: dict[str, str]
) -> Iterator[tuple[int, Disk, set[str], set[str]]]:
    """After each call: its number, the disk, what was acknowledged to the modality and accepted by the PACS."""
    disk = Disk(data)
    acknowledged: set[str] = set()
    accepted: set[str] = set()
    for number, call in enumerate(every):
        disk.apply(call)
        acknowledged |= _told(call, "sendto", uids)
        accepted |= _told(call, "recvfrom", uids)
        yield number, disk, acknowledged, accepted


def _logged(found: Path, pseudonym: str) -> bool:
    """Whether the ledger has the object, or the queue has it for the ledger; once, or in both of them."""
    with closing(sqlite3.connect(found / FILE_NAME)) as database:
        waiting = [bytes(row[0]) for row in database.execute("SELECT entry FROM unlogged")]
    ledger = found / "ledger" / "open"
    written = list(OpenBundle.decode(ledger.read_bytes()).entries) if ledger.exists() else []
    of_instance = [
        sum(entry[INSTANCE_AT].hex() == pseudonym for entry in entries) for entries in (waiting, written)
    ]
    return 1 in of_instance and max(of_instance) == 1


def _kept(found: Path, data: Path, pseudonym: str, held: Disk) -> bool:
    """Whether a gateway that starts on this disk would deliver the object: a job is open and its file is whole."""
    database = sqlite3.connect(found / FILE_NAME)
    try:
        rows = database.execute(
            "SELECT incoming, outgoing FROM instance WHERE pseudonym = ? AND EXISTS (SELECT 1 FROM job WHERE"
            " job.instance_id = instance.id AND job.state NOT IN ('done', 'dropped'))",
            (pseudonym,),
        ).fetchall()
    except sqlite3.DatabaseError:
        return False
    finally:
        database.close()
    for incoming, outgoing in rows:
        name = outgoing or incoming
        path = Path("spool") / name[:2] / f"{name}.dcm"
        if (found / path).exists() and (found / path).read_bytes() == held.written(data / path):
            return True
    return False
