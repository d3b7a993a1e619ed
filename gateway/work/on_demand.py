"""Work for HTTP callers, in a worker process of its own, so that a hostile body can't harm the service."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gateway.config import Config
from gateway.dicom.rendering import Rendering
from gateway.errors import ResourceError
from gateway.seal.amending import Correcting
from gateway.seal.findings import Report, Restoration
from gateway.work.handover import handed_over
from gateway.work.process import WorkerProcess
from gateway.work.tasks import (
    AmendTask,
    ExtractTask,
    Failure,
    FrameTask,
    OpenedRecord,
    RestoreOnlyTask,
    ResultT,
    Task,
    VerifyOnlyTask,
)


@dataclass(frozen=True, kw_only=True)
class Amended:
    """What came of amending a file.

    sop_instance_uid: of the object.
    amended: the bytes of the amended object.
    """

    sop_instance_uid: str
    amended: bytes


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came of restoring a file.

    sop_instance_uid: of the object, "" when the object can't be parsed.
    original: the bytes of the original object, None when it was not restored.
    """

    sop_instance_uid: str
    restoration: Restoration
    original: bytes | None


class OnDemand:
    """Works on one object at a time. The process starts with the first.

    All methods that take data raise ResourceError (SpoolFull, when the object can't be handed over), WorkerDied,
    KeyFileError.
    """

    def __init__(self, config: Config) -> None:
        self._timeout_s = config.limits.seal_timeout_s
        self._data_dir = config.gateway.data_dir
        self._process = WorkerProcess(config)
        self._lock = threading.Lock()

    def verify(self, data: bytes) -> Report:
        """Verify a file. The hidden record stays closed."""
        with self._lock, handed_over(self._data_dir, data) as file:
            return self._run("verify-only", VerifyOnlyTask(file=file))

    def extract(self, data: bytes) -> OpenedRecord:
        """Read the hidden record of a file. Only where a recipient key is configured."""
        with self._lock, handed_over(self._data_dir, data) as file:
            return self._run("extract", ExtractTask(file=file))

    def restore(self, data: bytes, *, unverified: bool) -> Restored:
        """Give back the original of a file that verifies. Only where a recipient key is configured.

        unverified: also of one that does not verify.
        """
        with self._lock, handed_over(self._data_dir, data) as file:
            target = file.beside("original")
            opened = self._run(
                "restore-only", RestoreOnlyTask(file=file, target=target, unverified=unverified)
            )
            return Restored(
                sop_instance_uid=opened.sop_instance_uid,
                restoration=opened.restoration,
                original=target.read() if opened.restoration.restored else None,
            )

    def amend(self, data: bytes, correcting: Correcting) -> Amended:
        """Correct a sealed file under signature. Only where a signer key is configured."""
        with self._lock, handed_over(self._data_dir, data) as file:
            target = file.beside("amended")
            done = self._run("amend", AmendTask(file=file, target=target, correcting=correcting))
            return Amended(sop_instance_uid=done.sop_instance_uid, amended=target.read())

    def picture(self, data: bytes, number: int, rendering: Rendering) -> bytes:
        """One frame of a file for a screen. number: of the frame, from 1."""
        with self._lock, handed_over(self._data_dir, data) as file:
            target = file.beside("picture")
            self._run("picture", FrameTask(file=file, target=target, number=number, rendering=rendering))
            return target.read()

    def stop(self) -> None:
        """At once. A caller who waits for a result gets an error."""
        self._process.kill()
        with self._lock:
            self._process.stop()

    def _run(self, action: str, task: Task[ResultT]) -> ResultT:
        result, _ = self._process.run(task, timeout_s=self._timeout_s)
        if isinstance(result, Failure):
            error = ResourceError(f"{action} failed", hint=result.text)
            error.code = result.code
            raise error
        return result
