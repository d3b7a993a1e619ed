"""A worker process as the service sees it: started when needed, watched, replaced when it ends."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from gateway.config import Config
from gateway.errors import GatewayError, KeyFileError, ResourceError, WorkerDied
from gateway.work import worker
from gateway.work.tasks import Failure, ResultT, Task

START_TIMEOUT_S = 120.0
POLL_S = 1.0
NOT_STARTED = "no worker process could be started"
HINT = "Look at memory and log; run `sealgate check`."


class WorkerProcess:
    """One process that does one task at a time. Not for several threads at once.

    marks_only: the process needs neither networks nor keys, and does no other tasks than MarkTask and ConvertTask.
    """

    def __init__(self, config: Config, *, marks_only: bool = False) -> None:
        self._config = config
        self._marks_only = marks_only
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        # The execution provider of the codec's networks; "" before the start, and for a process that only marks.
        self.provider = ""

    @property
    def pid(self) -> int | None:
        """None while no process runs."""
        return self._process.pid if self._process is not None else None

    @property
    def is_started(self) -> bool:
        """Whether it was started and nobody has noticed its end. It may have ended meanwhile."""
        return self._connection is not None

    def start(self) -> None:
        """Return when the process is ready for tasks. Raises KeyFileError, ResourceError."""
        # So that it inherits no sockets, locks or sessions.
        context = multiprocessing.get_context("spawn")
        try:
            ours, of_process = context.Pipe()
            arguments = (of_process, self._config, self._marks_only)
            process = context.Process(target=worker.main, args=arguments, daemon=True)
            process.start()
            of_process.close()
        except OSError as error:
            raise ResourceError(f"{NOT_STARTED}: {error.strerror}", hint=HINT) from error
        self._process, self._connection = process, ours
        try:
            answer = self._receive(START_TIMEOUT_S)
        except WorkerDied as error:
            raise ResourceError(NOT_STARTED, hint=HINT) from error
        if isinstance(answer, Failure):
            self.stop()
            raise _error(answer)
        self.provider = str(answer)

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
        """End the process. It ends by itself when its pipe is closed, and is killed if it is at work."""
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
        """For another thread: `run` raises WorkerDied in the thread that waits there."""
        process = self._process
        if process is not None:
            process.kill()

    def _receive(self, timeout_s: float) -> object:
        """What the process sends next. Raises WorkerDied."""
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
    """The error that kept the process from starting, as KeyFileError or ResourceError with its own code."""
    kind = KeyFileError if failure.code == KeyFileError.code else ResourceError
    error = kind(failure.text, hint=failure.hint)
    error.code = failure.code
    return error
