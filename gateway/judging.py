"""Verification for HTTP callers, in a worker process of its own, so that a hostile body can't harm the service."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.errors import ResourceError
from gateway.worker import Task
from gateway.workshop import WorkerProcess


class Judge:
    """One object at a time; the process starts with the first. The hidden record is never opened here."""

    def __init__(self, config: Config) -> None:
        self._timeout_s = config.limits.seal_timeout_s
        self._process = WorkerProcess(config)
        self._lock = threading.Lock()

    def __call__(self, data: bytes) -> dict[str, Any]:
        """The JSON of `sealgate verify` for a file. Raises ResourceError, WorkerDied."""
        with self._lock, tempfile.NamedTemporaryFile(prefix="sealgate-", suffix=".dcm") as file:
            file.write(data)
            file.flush()
            outcome, _ = self._process.run(
                Task(action="judge", path=Path(file.name)), timeout_s=self._timeout_s
            )
        if outcome.failure is not None or outcome.report is None:
            raise ResourceError("verification failed", hint=outcome.failure.text if outcome.failure else "")
        return outcome.report

    def stop(self) -> None:
        """At once; a caller who waits for a report gets an error."""
        self._process.kill()
        with self._lock:
            self._process.stop()
