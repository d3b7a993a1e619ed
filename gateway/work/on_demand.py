"""Work for HTTP callers, in a worker process of its own, so that a hostile body can't harm the service."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Config
from gateway.errors import ResourceError
from gateway.seal.findings import Report, Restoration
from gateway.work.process import WorkerProcess
from gateway.work.tasks import (
    ExtractTask,
    Failure,
    OpenedRecord,
    RestoreOnlyTask,
    ResultT,
    Task,
    VerifyOnlyTask,
)

# A file system without a disk, on Linux.
MEMORY = Path("/dev/shm")


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

    All methods that take data raise ResourceError, WorkerDied, KeyFileError.
    """

    def __init__(self, config: Config) -> None:
        self._timeout_s = config.limits.seal_timeout_s
        # Where the spool is encrypted, no clear image may reach a disk.
        self._folder = MEMORY if config.gateway.spool_key is not None and MEMORY.is_dir() else None
        self._process = WorkerProcess(config)
        self._lock = threading.Lock()

    def verify(self, data: bytes) -> Report:
        """Verify a file. The hidden record stays closed."""
        with self._file(data) as path:
            return self._run("verify-only", VerifyOnlyTask(path=path))

    def extract(self, data: bytes) -> OpenedRecord:
        """Read the hidden record of a file. Only where a recipient key is configured."""
        with self._file(data) as path:
            return self._run("extract", ExtractTask(path=path))

    def restore(self, data: bytes) -> Restored:
        """Give back the original of a file. Only where a recipient key is configured."""
        with self._file(data) as path:
            target = path.with_name("original.dcm")
            opened = self._run("restore-only", RestoreOnlyTask(path=path, target=target))
            return Restored(
                sop_instance_uid=opened.sop_instance_uid,
                restoration=opened.restoration,
                original=target.read_bytes() if opened.restoration.restored else None,
            )

    def stop(self) -> None:
        """At once. A caller who waits for a result gets an error."""
        self._process.kill()
        with self._lock:
            self._process.stop()

    @contextmanager
    def _file(self, data: bytes) -> Iterator[Path]:
        """The data as a file, alone in a folder that goes away with it. One caller at a time gets in."""
        with self._lock, tempfile.TemporaryDirectory(prefix="sealgate-", dir=self._folder) as folder:
            path = Path(folder) / "object.dcm"
            path.write_bytes(data)
            yield path

    def _run(self, action: str, task: Task[ResultT]) -> ResultT:
        result, _ = self._process.run(task, timeout_s=self._timeout_s)
        if isinstance(result, Failure):
            error = ResourceError(f"{action} failed", hint=result.text)
            error.code = result.code
            raise error
        return result
