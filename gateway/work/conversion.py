"""Objects in a transfer syntax that a destination takes: converted in a process of its own, within limits.

A hostile object may inflate to gigabytes, or claim an image of that size. In the service's process it would take all
associations with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config import Config
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import GatewayError, InputError, ResourceError, WorkerDied
from gateway.spool import Spool
from gateway.work.process import WorkerProcess
from gateway.work.tasks import ConvertTask, Failure


class Converter:
    """One process for all deliverers of a destination, started when it is needed. For several threads."""

    def __init__(self, config: Config, spool: Spool, *, users: int) -> None:
        """users: how many threads will call `leave`."""
        self._spool, self._users = spool, users
        self._timeout_s = config.limits.seal_timeout_s
        self._process = WorkerProcess(config, marks_only=True)
        self._lock = threading.Lock()

    @contextmanager
    def converted(self, object_name: str, syntax: str) -> Iterator[ByteSource]:
        """An object of the spool, losslessly converted; it is gone after the block.

        Raises GatewayError: what the conversion raises, WorkerDied when it took the process with it.
        """
        name = self._convert(ConvertTask(object_name=object_name, syntax=syntax))
        try:
            with self._spool.open(name) as file:
                yield file
        finally:
            self._spool.remove([name])

    def leave(self) -> None:
        """A thread needs it no more. After the last one the process ends."""
        with self._lock:
            self._users -= 1
            if self._users <= 0:
                self._process.stop()

    def _convert(self, task: ConvertTask) -> str:
        with self._lock:
            result, _ = self._process.run(task, timeout_s=self._timeout_s)
        if isinstance(result, Failure):
            raise _error(result)
        if result.outgoing is None:
            raise WorkerDied("nothing came of the conversion")
        return result.outgoing


def _error(failure: Failure) -> GatewayError:
    kind: type[GatewayError] = ResourceError if failure.retry else InputError
    error = kind(failure.text, hint=failure.hint)
    error.code = failure.code
    return error
