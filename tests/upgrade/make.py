"""Makes the data folders of tests/upgrade/data-0.1, with the version that is to be upgraded from.

    git clone . /tmp/before && cd /tmp/before && git checkout d8c8792 && make venv && cd -
    .venv/bin/python -m tests.upgrade.make /tmp/before/.venv/bin/sealgate

It runs the old gateway, sends it synthetic objects, and kills it with SIGKILL in the middle of its work. The keys
are made for this purpose only. Nothing here is run by the tests: the folders it made are checked in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gateway.commands.demo.process import free_port
from tests.peers.test_commitment import Requester
from tests.support.dcmtk import Storescp
from tests.support.gateway import RunningGateway, wait_for
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct
from tests.support.storing_peer import StoringPeer
from tests.upgrade.before import COMMIT, FOLDERS, KINDS, TOKEN, TRANSACTION, Ports, gateway

CANNOT_UNDERSTAND = 0xC000
SEALED, SMALL = 48, 16  # rows and columns; the smaller ones get level digest

JOB_KEYS = ("id", "instance", "step", "destination", "state", "reason")  # what is kept of a listed job

# name -> (called AE title, rows and columns). They are sent in this order, the last four with stopped workers.
OBJECTS = {
    "delivered": ("SEALGATE", SEALED),
    "waiting-1": ("LATER", SEALED),
    "waiting-2": ("LATER", SMALL),
    "untouched": ("UNTOUCHED", SMALL),
    "held": ("LATER", SMALL),
    "refused": ("STRICT", SMALL),
    "unsealed": ("VERIFY", SMALL),
    "unreadable": ("SEALGATE", 0),
    "unprepared-1": ("SEALGATE", SMALL),
    "unprepared-2": ("SEALGATE", SMALL),
    "unprepared-3": ("SEALGATE", SMALL),
    "unprepared-4": ("LATER", SMALL),
}


class OldCommands:
    """The command line of the old version, for one gateway."""

    def __init__(self, program: str, running: RunningGateway) -> None:
        self._program, self._running = program, running

    def call(self, *words: str) -> list[dict[str, Any]]:
        """The JSON lines that it prints."""
        done = subprocess.run(
            [self._program, *words, "--config", str(self._running.config)],
            env={**os.environ, **self._running.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def make(program: str, target: Path, *, encrypted: bool) -> None:
    """Writes `data/`, `keys/` and `contents.json` below `target`. program: `sealgate` of the old version."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([program, "keygen", str(folder / "keys")], check=True, stdout=subprocess.DEVNULL)
        if encrypted:
            spool_key = ["keys", "new-spool-key", str(folder / "spool.key")]
            subprocess.run([program, *spool_key], check=True, stdout=subprocess.DEVNULL)
        contents = run(program, folder, write_objects(FOLDERS / "sent"))
        (folder / "contents.json").write_text(json.dumps(contents, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in ("data", "keys", "contents.json", *(["spool.key"] if encrypted else [])):
            shutil.move(folder / part, target / part)


def write_objects(folder: Path) -> dict[str, Parcel]:
    """The same bytes each time, for both folders."""
    folder.mkdir(parents=True, exist_ok=True)
    parcels = {}
    for number, (name, (_, size)) in enumerate(OBJECTS.items()):
        data = ct(rows=size or SMALL, columns=size or SMALL, seed=900 + number)
        item = parcel(data, fallback_uid="2.25.1")
        if size == 0:
            item = Parcel(item.sop_class, item.sop_instance, item.syntax, bytes(range(256)))
        (folder / f"{name}.dcm").write_bytes(item.as_file())
        parcels[name] = item
    return parcels


def run(program: str, folder: Path, parcels: dict[str, Parcel]) -> dict[str, Any]:
    """What the folder holds in the end, as the old version lists it."""
    instead = ("sh", "-c", 'shift 3; exec "$0" "$@"', program)  # of `python -m gateway.commands.main`
    with (
        Storescp(folder / "pacs") as pacs,
        StoringPeer(answer=lambda _number: CANNOT_UNDERSTAND) as strict,
        Requester() as requester,
    ):
        ports = Ports(pacs=pacs.port, late=free_port(), strict=strict.port, requester=requester.port)
        running = gateway(folder, ports, wrapper=instead)
        old = OldCommands(program, running)

        def sent(*names: str) -> None:
            for name in names:
                called, _ = OBJECTS[name]
                assert send([parcels[name]], running.dicom_port, called=called) == [0], name

        def waits(number: int, state: str) -> None:
            wait_for(lambda: len(old.call("queue", "list", "--json", "--state", state)) == number, what=state)

        def ready_for_late() -> list[dict[str, Any]]:
            return old.call("queue", "list", "--json", "--destination", "late", "--state", "ready")

        with running:
            sent(
                "delivered",
                "waiting-1",
                "waiting-2",
                "untouched",
                "held",
                "refused",
                "unsealed",
                "unreadable",
            )
            waits(3, "parked")
            wait_for(lambda: len(pacs.files()) == 1, what="one delivered")
            wait_for(lambda: len(ready_for_late()) == 4, what="four sealed or untouched that wait")
            held = ready_for_late()[-1]
            old.call("queue", "hold", str(held["id"]))
            old.call("queue", "pause", "strict")
            waiting = [parcels[name].sop_instance for name in ("waiting-1", "waiting-2")]
            assert requester.ask(running.dicom_port, waiting, transaction=TRANSACTION) == 0
            ask_for_the_record(running, pacs.files()[0].read_bytes())
            stop_workers(running)
            sent("unprepared-1", "unprepared-2", "unprepared-3", "unprepared-4")
            waits(1, "held")
            running.kill()
    return {
        "commit": COMMIT,
        "instances": {name: item.sop_instance for name, item in parcels.items()},
        "jobs": [{key: job[key] for key in JOB_KEYS} for job in old.call("queue", "list", "--json")],
        "quarantine": old.call("quarantine", "list", "--json"),
    }


def ask_for_the_record(running: RunningGateway, sealed: bytes) -> None:
    """Once with the token and once without: two lines of the audit log."""
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {}):
        headers["Content-Type"] = "application/dicom"
        request = urllib.request.Request(f"{running.url}/api/v1/extract", data=sealed, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            assert error.code == 401 and "Authorization" not in headers


def stop_workers(running: RunningGateway) -> None:
    """They take their next job and never finish it."""
    assert running.process is not None
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    for pid in children.split():
        os.kill(int(pid), signal.SIGSTOP)


if __name__ == "__main__":
    for kind in KINDS:
        make(sys.argv[1], FOLDERS / kind, encrypted=kind == "encrypted")
