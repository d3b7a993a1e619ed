"""A worker process from the inside: it does one task after another, within its limits.

A hostile object that exhausts memory, hangs or crashes a decoder takes this process with it, not the gateway.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from gateway.config import Config
from gateway.errors import GatewayError, TooMuchMemory
from gateway.observe import where
from gateway.runtime.core_dumps import empty_dumps
from gateway.runtime.limits import limit_memory
from gateway.work.executor import Executor, convert, mark, worker_spool
from gateway.work.tasks import ConvertTask, Failure, MarkTask, Outcome, Result


def main(connection: Connection, config: Config, marks_only: bool = False) -> None:
    """The process. It ends when the other end of the pipe is gone.

    It sends the name of the codec's execution provider when it is ready, or a Failure and ends. Then it answers each
    task with a pair: the result or a Failure, and the seconds that it took.

    marks_only: load neither networks nor keys, and do no other tasks than MarkTask and ConvertTask. The provider
    is "" then.
    """
    # A terminal's Ctrl-C reaches this process, too. The service drains us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    limit_memory(config.limits.worker_memory_bytes)
    try:
        empty_dumps()
        do, provider = _prepared(config, marks_only=marks_only)
    except GatewayError as error:
        connection.send(Failure.of(error))
        return
    connection.send(provider)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):  # the service ended, gracefully or not
            return
        started = time.monotonic()
        result = guarded(do, task)
        try:
            connection.send((result, time.monotonic() - started))
        except OSError:
            return


def _prepared(config: Config, *, marks_only: bool) -> tuple[Callable[[Any], Result | Failure], str]:
    """What does the tasks, and the name of the execution provider. Raises KeyFileError, ResourceError."""
    if marks_only:
        return partial(_without_keys, config), ""
    executor = Executor(config)
    return executor.do, executor.codec.provider


def _without_keys(config: Config, task: MarkTask | ConvertTask) -> Outcome:
    """Opens the spool for each task: when that fails, it is a Failure of the task and the process runs on."""
    spool = worker_spool(config)
    return mark(spool, task) if isinstance(task, MarkTask) else convert(spool, task)


def guarded(do: Callable[[Any], Result | Failure], task: object) -> Result | Failure:
    """The result of `do(task)`, or its error as a Failure. Nothing that an object provokes may end the worker.

    Also BaseException: decoders written in Rust raise a PanicException that is no Exception.
    """
    try:
        return do(task)
    except GatewayError as error:
        return Failure.of(error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        return Failure.of(TooMuchMemory("the object needs more memory than a worker may have"))
    except BaseException as error:  # noqa: BLE001 - see above; reported as a failure of this object
        hint = "Report it with this line of the log."
        return Failure(code="internal", text=where(error), hint=hint, retry=isinstance(error, OSError))
