"""Memory, descriptors and threads of a gateway and its workers over time, and what a line through them says."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from tests.support.gateway import RunningGateway


@dataclass(frozen=True)
class Sample:
    """at: seconds since the start. Resident bytes of the main process and of its children in sum; jobs not done."""

    at: float
    main_bytes: int
    children_bytes: int
    children: int
    descriptors: int
    threads: int
    jobs: int
    spool_files: int


def sample(gateway: RunningGateway, started: float) -> Sample:
    """Now. started: of time.monotonic(). A child that ends meanwhile is left out."""
    assert gateway.process is not None
    main = gateway.process.pid
    children = [
        resident
        for child in Path(f"/proc/{main}/task/{main}/children").read_text().split()
        if (resident := _resident(Path("/proc") / child))
    ]
    return Sample(
        at=round(time.monotonic() - started, 1),
        main_bytes=_resident(Path("/proc") / str(main)),
        children_bytes=sum(children),
        children=len(children),
        descriptors=len(list(Path(f"/proc/{main}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{main}/task").iterdir())),
        jobs=int(gateway.metric("sealgate_queue_jobs")),
        spool_files=sum(1 for _ in (gateway.folder / "data" / "spool").glob("*/*.dcm")),
    )


def _resident(process: Path) -> int:
    """Bytes; 0 for a process that ended."""
    try:
        lines = (process / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


class Record:
    """Samples in a file as they are taken, so that an interrupted run leaves them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.samples: list[Sample] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerow(field.name for field in fields(Sample))

    def add(self, taken: Sample) -> None:
        self.samples.append(taken)
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(asdict(taken).values())


def per_hour(samples: Sequence[Sample], name: str, *, after_s: float) -> float:
    """Slope of the least-squares line through the values since `after_s`, per hour."""
    chosen = [(taken.at, float(getattr(taken, name))) for taken in samples if taken.at >= after_s]
    times, values = np.array(chosen).T
    return float(np.polyfit(times, values, 1)[0]) * 3600
