"""kill -9 before a system call of a given number, in a process of its own."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from itertools import count
from typing import Any

# What changes a disk.
CALLS = ("write", "fsync", "fdatasync", "replace", "rename", "link", "mkdir", "unlink")


def killed_at(step: int, body: Callable[[Counted], object]) -> bool:
    """Do `body` in a child that is killed before the call number `step`, from 0. Returns whether it came so far.

    body: gets what counts further functions as such calls.
    """
    with warnings.catch_warnings():
        # Of Python 3.12: threads of libraries are not in the child. It uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run(step, body)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


class Counted:
    """Makes functions count as steps."""

    def __init__(self, step: int) -> None:
        self._step, self._numbers = step, count()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            if next(self._numbers) == self._step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return counting


def _run(step: int, body: Callable[[Counted], object]) -> None:
    """Never returns."""
    code = 1
    try:
        counted = Counted(step)
        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        body(counted)
        code = 0
    finally:
        os._exit(code)
