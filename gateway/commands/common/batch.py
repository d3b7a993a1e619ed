"""Work on many files, in this process or in several: a line for each file, in order, and one exit code for all.

A bad object ends as a result and never as a traceback. So does an object that kills the process that works on it, as
native decoders can: it is found and named, and the others go on.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Protocol

from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile
from gateway.commands.common.printing import Printer
from gateway.errors import (
    FileMissing,
    GatewayError,
    InputError,
    ResourceError,
    SpoolCorrupt,
    TooMuchMemory,
    UsageError,
)
from gateway.runtime.limits import limit_memory, limited_time

# Enough files to keep the processes busy, and few enough that their results need little memory.
QUEUED_PER_JOB = 4


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What became of one file.

    line: the JSON object.
    word, text: the same for people.
    exit_code: OK, FINDINGS, or FAILED for an internal error.
    notes: further prose for stderr.
    group: what the file belongs to, where a command tells that; never printed in JSON.
    """

    line: dict[str, Any]
    word: str
    text: str
    exit_code: Exit = Exit.OK
    notes: tuple[str, ...] = field(default=())
    group: str = ""


class FileTask(Protocol):
    """The work of a command on one file. It can be pickled, and loads its networks and keys once in each process."""

    def __call__(self, item: InputFile) -> FileResult:
        """The result for one file.

        Raises InputError or OSError when this file is bad.
        Raises UsageError or ResourceError when the whole run must end.
        """

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        """The JSON object for a file without a result. It has every key that the command promises.

        code: a code word that says why.
        message: the same for people.
        """


@dataclass(frozen=True, kw_only=True)
class FileLimits:
    """What one file may take.

    memory_bytes: that a process may allocate; None: no limit, and none is set.
    timeout_s: seconds; None: no limit.
    """

    memory_bytes: int | None = None
    timeout_s: float | None = None


NO_LIMITS = FileLimits()


def run(
    task: FileTask,
    items: Sequence[InputFile],
    *,
    jobs: int,
    printer: Printer,
    limits: FileLimits = NO_LIMITS,
    added: Callable[[InputFile, FileResult], FileResult] | None = None,
) -> Exit:
    """Work on all items, and print each result in the order of the items. Returns the worst exit code.

    jobs: number of processes.
    limits: hold from now on for this process, too.
    added: completes the result for an item before it is printed; None: it is complete.
    """
    _start(limits)
    worst = Exit.OK
    words: Counter[str] = Counter()
    with printer.progress(len(items)) as advance:
        for item, made in zip(items, _results(_Limited(task, limits), items, jobs), strict=True):
            result = added(item, made) if added is not None else made
            printer.outcome(result.line, result.word, result.text, result.notes)
            words[result.word] += 1
            worst = _worse(worst, result.exit_code)
            advance()
    if len(items) > 1:
        counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
        printer.prose(f"{len(items)} files: {counted}")
    return worst


@dataclass(frozen=True)
class _Limited:
    """A task and what it may take."""

    task: FileTask
    limits: FileLimits


def attempt(limited: _Limited, item: InputFile) -> FileResult:
    """The result for one file, whatever happens.

    Raises UsageError or ResourceError when the whole run must end.
    """
    task = limited.task
    try:
        with limited_time(limited.limits.timeout_s):
            return task(item)
    except MemoryError:
        much = TooMuchMemory(f"it would need more than {limited.limits.memory_bytes} bytes of memory")
        return _failure(task, item, much.code, str(much), much.hint)
    except (FileMissing, SpoolCorrupt):
        return _failure(
            task, item, "unreadable", "it changed while it was read, or is not what its name says"
        )
    except (UsageError, ResourceError):
        raise
    except GatewayError as error:
        return _failure(task, item, error.code, str(error), error.hint)
    except OSError as error:
        return _failure(task, item, "unreadable", f"can't be read: {error.strerror or error}")
    except RecursionError:
        return _failure(task, item, "unreadable", "nested too deeply to be parsed", InputError.hint)
    except Exception as error:  # noqa: BLE001 - a defect of ours on one object must not cost the others
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {last.name}, line {last.lineno}"
        hint = "This is a defect: please report it with the object's kind, never with patient data."
        return _failure(task, item, "internal-error", f"internal error: {where}", hint, Exit.FAILED)


def _failure(
    task: FileTask, item: InputFile, code: str, message: str, hint: str = "", exit_code: Exit = Exit.FINDINGS
) -> FileResult:
    note = f"{item.source}: {message}" + (f" ({hint})" if hint else "")
    return FileResult(
        line=task.failed(item, code, message),
        word=code,
        text=f"{item.source}  ({message})",
        exit_code=exit_code,
        notes=(note,),
    )


def _worse(first: Exit, second: Exit) -> Exit:
    order = [Exit.OK, Exit.FINDINGS, Exit.FAILED]
    return max(first, second, key=order.index)


def _results(task: _Limited, items: Sequence[InputFile], jobs: int) -> Iterator[FileResult]:
    if jobs <= 1 or len(items) <= 1:
        yield from (attempt(task, item) for item in items)
        return
    waiting = deque(items)
    while waiting:
        yield from _pooled(task, waiting, min(jobs, len(waiting)))
        # When files are left, a process died. The object that killed it is among the first few.
        if waiting:
            for item in [waiting.popleft() for _ in range(min(len(waiting), jobs * QUEUED_PER_JOB))]:
                yield _alone(task, item)


def _pooled(task: _Limited, waiting: deque[InputFile], jobs: int) -> Iterator[FileResult]:
    """Results in order. Items leave `waiting` as they are done. Returns early when a process died."""
    pool = _pool(jobs, task.limits)
    running: deque[Future[FileResult]] = deque()
    try:
        while waiting:
            while len(running) < min(jobs * QUEUED_PER_JOB, len(waiting)):
                running.append(_submitted(pool, task, waiting[len(running)]))
            result = running.popleft().result()
            waiting.popleft()
            yield result
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(task: _Limited, item: InputFile) -> FileResult:
    with _pool(1, task.limits) as pool:
        try:
            return _submitted(pool, task, item).result()
        except BrokenProcessPool:
            message = "killed the process that worked on it (a decoder crashed or memory ran out)"
            return _failure(task.task, item, "crashed", message, InputError.hint)


def _pool(jobs: int, limits: FileLimits) -> ProcessPoolExecutor:
    # spawn, because the runtime of the networks has threads, which do not survive a fork.
    return ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=_leave_interrupts_to_parent,
        initargs=(limits,),
    )


def _submitted(pool: ProcessPoolExecutor, task: _Limited, item: InputFile) -> Future[FileResult]:
    """Processes start here. Ctrl-C is blocked meanwhile: it never reaches them, and reaches us a moment later."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(attempt, task, item)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start(limits: FileLimits) -> None:
    if limits.memory_bytes is not None:
        limit_memory(limits.memory_bytes)


def _leave_interrupts_to_parent(limits: FileLimits) -> None:
    _start(limits)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.close()
