"""Modality, gateway, PACS and a second destination as processes that can be killed one by one and started again."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.commands.demo.process import Process, free_port
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway
from tests.support.modality_process import acknowledged
from tests.support.objects import ct, uid
from tests.support.orthanc import Orthanc
from tests.support.witness import Witness

SIZE = 64  # rows and columns: what is tested is the order of steps, not their duration
STUDY = 20  # objects in one
PASSED = 5  # every fifth object takes the route that seals nothing
RESTLESS = 0.02  # the second destination takes an object and breaks off, or refuses it, so often
KINDS = ("service", "group", "worker", "pacs", "modality")
QUICK = "[queue]\nbackoff_s = 0.2\nbackoff_max_s = 2.0\nattempts = 1000"


def original(number: int, seed: int) -> bytes:
    """The object that the modality sends under this number, as a file."""
    study = number // STUDY
    shared = {
        "StudyInstanceUID": uid("study", seed, study),
        "SeriesInstanceUID": uid("series", seed, study),
        "PatientID": f"SYN-{seed}-{study}",
    }
    return ct(rows=SIZE, columns=SIZE, seed=seed * 1_000_000 + number, number=number, **shared)


def called(number: int) -> str:
    return "PASS" if number % PASSED == 0 else "SEALGATE"


def file_name(number: int) -> str:
    return f"{number:06d}-{called(number)}.dcm"


class Plant:
    """Everything keeps its state below `folder`, so that a plant made there again goes on."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.folder, self._seed = folder, seed
        self.outbox, self.journal = folder / "outbox", folder / "acknowledged.txt"
        self.outbox.mkdir(exist_ok=True)
        self.orthanc = Orthanc(folder / "orthanc", settings={"SyncStorageArea": True})
        self.witness = Witness(folder / "witness.txt", seed=seed, restless=RESTLESS)
        self.gateway: RunningGateway
        self._modality: Process

    def __enter__(self) -> Self:
        self.orthanc.start()
        self.witness.__enter__()
        pacs = DemoDestination(name="pacs", ae_title=self.orthanc.ae_title, port=self.orthanc.dicom_port)
        witness = DemoDestination(name="witness", ae_title="WITNESS", port=self.witness.port)
        both = ("pacs", "witness")
        self.gateway = RunningGateway(
            self.folder / "gateway",
            nodes=[pacs, witness],
            routes=[
                DemoRoute(called="SEALGATE", action="seal", to=both),
                DemoRoute(called="PASS", action="pass", to=both),
            ],
            extra=QUICK,
            dicom_port=free_port(),
            http_port=free_port(),
        )
        self.gateway.start()
        self._start_modality()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._modality.kill()
        self.gateway.stop()
        self.witness.__exit__(kind, error, trace)
        self.orthanc.stop()

    def give(self, first: int, last: int) -> None:
        """Objects first..last-1 to the modality."""
        for number in range(first, last):
            path = self.outbox / file_name(number)
            if not path.exists():
                fresh = path.with_suffix(".new")
                fresh.write_bytes(original(number, self._seed))
                fresh.rename(path)

    def acknowledged(self) -> set[str]:
        return acknowledged(self.journal)

    def kill(self, kind: str, *, down_s: float, choice: int) -> bool:
        """SIGKILL, a pause, a new start. False when there was no such process at that moment.

        service: the main process alone. group: it and its workers at once. worker: one of them, the choice-th.
        """
        process = self.gateway.process
        assert process is not None
        if kind == "service":
            os.kill(process.pid, signal.SIGKILL)
            process.stop()
        elif kind == "group":
            process.kill()
        elif kind == "worker":
            workers = self.workers()
            if not workers:
                return False
            os.kill(workers[choice % len(workers)], signal.SIGKILL)
            return True
        elif kind == "pacs":
            assert self.orthanc.process is not None
            self.orthanc.process.kill()
        else:
            self._modality.kill()
        time.sleep(down_s)
        if kind == "pacs":
            self.orthanc.start()
        elif kind == "modality":
            self._start_modality()
        else:
            self.gateway.start()
        return True

    def workers(self) -> list[int]:
        """Process ids of the gateway's sealing workers."""
        assert self.gateway.process is not None
        main = self.gateway.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [
            int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    def _start_modality(self) -> None:
        arguments = [str(self.outbox), str(self.journal), str(self.gateway.dicom_port)]
        command = [sys.executable, "-m", "tests.support.modality_process", *arguments]
        log = self.folder / "modality.log"
        self._modality = Process(command, log=log, environment={"PYTHONPATH": os.pathsep.join(sys.path)})
        self._modality.start()
