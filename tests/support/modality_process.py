"""A modality as a program of its own: sends what lies in a folder and repeats whatever was not acknowledged.

`python -m tests.support.modality_process OUTBOX JOURNAL PORT [HOST]`. File names in OUTBOX are NUMBER-CALLED.dcm. A
name is written into JOURNAL at once when its object was answered with success, so that the program can be killed and
started again at any moment. Other answers are noted there too, as lines `NAME STATUS`.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tests.support.modality import parcel, send

PATIENCE_S = 0.2  # between attempts, and between looks into the folder
OBJECTS_MAX = 10  # of one association


def acknowledged(journal: Path) -> set[str]:
    """Names of the files whose object was answered with success."""
    if not journal.exists():
        return set()
    lines = journal.read_text().splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {name for name, status in whole if status == "0000"}


def run(outbox: Path, journal: Path, port: int, host: str = "127.0.0.1") -> None:
    """Until killed."""
    draw = random.Random(os.getpid())
    done = acknowledged(journal)
    with journal.open("ab", buffering=0) as written:
        while True:
            waiting = sorted(path for path in outbox.glob("*.dcm") if path.name not in done)
            if not waiting:
                time.sleep(PATIENCE_S)
                continue
            called = waiting[0].stem.partition("-")[2]
            chosen = [path for path in waiting if path.stem.endswith(called)][: draw.randint(1, OBJECTS_MAX)]
            parcels = [parcel(path.read_bytes(), fallback_uid="1.2.3") for path in chosen]
            names = (path.name for path in chosen)
            try:
                note = partial(_note, written, done, names)
                statuses = send(parcels, port, called=called, host=host, answered=note)
            except Exception:  # noqa: BLE001 - the peer was killed, which shows in one of many ways
                statuses = [-1]
            if any(statuses):
                time.sleep(PATIENCE_S)


def _note(journal: BinaryIO, done: set[str], names: Iterator[str], status: int) -> None:
    name = next(names)
    journal.write(f"{name} {status:04X}\n".encode())
    if status == 0:
        done.add(name)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
