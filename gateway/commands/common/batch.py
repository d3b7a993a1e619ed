"""Work on many files: in order, in this process or in several, a line for each, and one exit code for all.

A bad object ends as an outcome, never as a traceback; so does an object that kills the process working on it
(native decoders can): it is found, named, and the others go on.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Protocol

from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile
from gateway.commands.common.printing import Printer
from gateway.errors import (
    GatewayError,
    InputError,
    ResourceError,
    UsageError,
)

QUEUED_PER_JOB = 4  # enough to keep the processes busy, few enough that results stay small in memory


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What became of one file.

    line: the JSON object. word and text: the same for people. exit_code: OK, FINDINGS, or FAILED for an
    internal error. notes: further prose for stderr.
    """

    line: dict[str, Any]
    word: str
    text: str
    exit_code: Exit = Exit.OK
    notes: tuple[str, ...] = field(default=())


class FileTask(Protocol):
    """A command's work on one file; picklable, loads its networks and keys once per process."""

    def __call__(self, item: InputFile) -> FileResult:
        """May raise InputError or OSError for this file; UsageError and ResourceError end the whole run."""

    def failed(self, item: InputFile, code: str) -> dict[str, Any]:
        """The JSON object of a file that gave no result; every key of the command's contract is there."""


def run(task: FileTask, items: Sequence[InputFile], *, jobs: int, printer: Printer) -> Exit:
    """Work on all items and print each outcome in the order of the items."""
    worst = Exit.OK
    words: Counter[str] = Counter()
    with printer.progress(len(items)) as advance:
        for outcome in _outcomes(task, items, jobs):
            printer.outcome(outcome.line, outcome.word, outcome.text, outcome.notes)
            words[outcome.word] += 1
            worst = _worse(worst, outcome.exit_code)
            advance()
    if len(items) > 1:
        counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
        printer.prose(f"{len(items)} files: {counted}")
    return worst


def attempt(task: FileTask, item: InputFile) -> FileResult:
    """The outcome of one file, whatever happens; UsageError and ResourceError pass."""
    try:
        return task(item)
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
        line=task.failed(item, code), word=code, text=message, exit_code=exit_code, notes=(note,)
    )


def _worse(a: Exit, b: Exit) -> Exit:
    order = [Exit.OK, Exit.FINDINGS, Exit.FAILED]
    return max(a, b, key=order.index)


def _outcomes(task: FileTask, items: Sequence[InputFile], jobs: int) -> Iterator[FileResult]:
    if jobs <= 1 or len(items) <= 1:
        yield from (attempt(task, item) for item in items)
        return
    waiting = deque(items)
    while waiting:
        yield from _pooled(task, waiting, min(jobs, len(waiting)))
        if waiting:  # a process died; the object that killed it is among the first few
            for item in [waiting.popleft() for _ in range(min(len(waiting), jobs * QUEUED_PER_JOB))]:
                yield _alone(task, item)


def _pooled(task: FileTask, waiting: deque[InputFile], jobs: int) -> Iterator[FileResult]:
    """Outcomes in order; items leave `waiting` as they are done. Returns early when a process died."""
    pool = _pool(jobs)
    running: deque[Future[FileResult]] = deque()
    try:
        while waiting:
            while len(running) < min(jobs * QUEUED_PER_JOB, len(waiting)):
                running.append(_submitted(pool, task, waiting[len(running)]))
            outcome = running.popleft().result()
            waiting.popleft()
            yield outcome
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(task: FileTask, item: InputFile) -> FileResult:
    with _pool(1) as pool:
        try:
            return _submitted(pool, task, item).result()
        except BrokenProcessPool:
            message = "killed the process that worked on it (a decoder crashed or memory ran out)"
            return _failure(task, item, "crashed", message, InputError.hint)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # spawn: the networks' runtime has threads, which a fork does not survive
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_parent)


def _submitted(pool: ProcessPoolExecutor, task: FileTask, item: InputFile) -> Future[FileResult]:
    """Processes start here, with Ctrl-C blocked from their first moment; ours waits until they have."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(attempt, task, item)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.close()
