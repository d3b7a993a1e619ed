"""Work for HTTP callers, in a worker process of its own, so that a hostile body can't harm the service."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.errors import ResourceError
from gateway.work.process import WorkerProcess
from gateway.work.worker import Action, Task

MEMORY = Path("/dev/shm")  # a file system without a disk, on Linux


class OnDemand:
    """One object at a time; the process starts with the first."""

    def __init__(self, config: Config) -> None:
        self._timeout_s = config.limits.seal_timeout_s
        # Where the spool is ciphered no clear image shall reach a disk.
        self._folder = MEMORY if config.gateway.spool_key is not None and MEMORY.is_dir() else None
        self._process = WorkerProcess(config)
        self._lock = threading.Lock()

    def __call__(self, data: bytes) -> dict[str, Any]:
        """The JSON of `sealgate verify` for a file; the hidden record is not opened.

        Raises ResourceError, WorkerDied, KeyFileError, as all methods do.
        """
        return self._run("judge", data)[1]

    def extract(self, data: bytes) -> dict[str, Any]:
        """The JSON of `sealgate extract` for a file, without `path`, with `reason` and `sop_instance_uid`.

        Only where a recipient key is configured.
        """
        return self._run("extract", data)[1]

    def restore(self, data: bytes) -> tuple[bytes | None, dict[str, Any]]:
        """The original, or None; `original_digest`, `reason`, `sop_instance_uid`.

        Only where a recipient key is configured.
        """
        original, report = self._run("undo", data)
        del report["restored"]
        return original, report

    def stop(self) -> None:
        """At once; a caller who waits for a report gets an error."""
        self._process.kill()
        with self._lock:
            self._process.stop()

    def _run(self, action: Action, data: bytes) -> tuple[bytes | None, dict[str, Any]]:
        with self._lock, tempfile.TemporaryDirectory(prefix="sealgate-", dir=self._folder) as folder:
            source, target = Path(folder) / "object.dcm", Path(folder) / "original.dcm"
            source.write_bytes(data)
            task = Task(action=action, path=source, target=target)
            outcome, _ = self._process.run(task, timeout_s=self._timeout_s)
            original = target.read_bytes() if outcome.restored else None
        if outcome.failure is not None or outcome.report is None:
            error = ResourceError(f"{action} failed", hint=outcome.failure.text if outcome.failure else "")
            error.code = outcome.failure.code if outcome.failure else error.code
            raise error
        return original, outcome.report
