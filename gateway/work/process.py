"""A worker process as the service sees it: started when needed, watched, replaced when it dies."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from gateway.config import Config
from gateway.errors import (
    GatewayError,
    KeyFileError,
    ResourceError,
    WorkerDied,
)
from gateway.work import worker
from gateway.work.tasks import Failure, ResultT, Task

START_TIMEOUT_S = 120.0
POLL_S = 1.0
NOT_STARTED = "no worker process could be started"
HINT = "Look at memory and log; run `sealgate check`."


class WorkerProcess:
    """One process, one task at a time; not for several threads at once.

    marks_only: the process needs neither networks nor keys, and does no other task than MarkTask.
    """

    def __init__(self, config: Config, *, marks_only: bool = False) -> None:
        self._config = config
        self._marks_only = marks_only
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self.provider = ""

    @property
    def pid(self) -> int | None:
        """None while no process runs."""
        return self._process.pid if self._process is not None else None

    @property
    def is_started(self) -> bool:
        """Whether it was started and nobody has noticed its end. It may have ended since."""
        return self._connection is not None

    def start(self) -> None:
        """Ready for tasks when it returns. Raises KeyFileError, ResourceError."""
        context = multiprocessing.get_context("spawn")  # no inherited sockets, locks or sessions
        try:
            ours, theirs = context.Pipe()
            arguments = (theirs, self._config, self._marks_only)
            process = context.Process(target=worker.main, args=arguments, daemon=True)
            process.start()
            theirs.close()
        except OSError as error:
            raise ResourceError(f"{NOT_STARTED}: {error.strerror}", hint=HINT) from error
        self._process, self._connection = process, ours
        try:
            first = self._receive(START_TIMEOUT_S)
        except WorkerDied as error:
            raise ResourceError(NOT_STARTED, hint=HINT) from error
        if isinstance(first, Failure):
            self.stop()
            raise _error(first)
        self.provider = str(first)

    def run(self, task: Task[ResultT], *, timeout_s: float) -> tuple[ResultT | Failure, float]:
        """Return what came of the task, and the seconds that it took.

        Raises WorkerDied when the process ends or needs more than `timeout_s`; the next call starts a new process.
        Raises ResourceError or KeyFileError when no process can be started, for which the task is not to blame.
        """
        if self._connection is None:
            self.start()
        assert self._connection is not None
        try:
            self._connection.send(task)
        except OSError as error:
            self.stop()
            raise WorkerDied("the worker process ended") from error
        return cast(tuple[ResultT | Failure, float], self._receive(timeout_s))

    def stop(self) -> None:
        """The process ends by itself when its pipe is closed, and is killed if it has work."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.join(POLL_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def kill(self) -> None:
        """From another thread: whoever waits in `run` gets WorkerDied."""
        process = self._process
        if process is not None:
            process.kill()

    def _receive(self, timeout_s: float) -> object:
        assert self._connection is not None
        try:
            if self._connection.poll(timeout_s):
                return self._connection.recv()
        except (EOFError, OSError) as error:
            self.stop()
            raise WorkerDied("the worker process ended") from error
        self.stop()
        raise WorkerDied(f"the worker process gave no answer within {timeout_s:.0f} s and was ended")


def _error(failure: Failure) -> GatewayError:
    kind = KeyFileError if failure.code == KeyFileError.code else ResourceError
    error = kind(failure.text, hint=failure.hint)
    error.code = failure.code
    return error
