"""JSON lines or readable lines on stdout; prose and the progress bar on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

WORD_WIDTH = 14  # of the longest verdict


class Printer:
    """One command's output. With `as_json`, stdout holds one JSON object per line and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def outcome(self, line: dict[str, Any], word: str, text: str, notes: Sequence[str] = ()) -> None:
        if self._as_json:
            self.line(line)
        else:
            print(f"{printable(word):<{WORD_WIDTH}} {printable(text)}", flush=True)
        for note in notes:
            self.prose(note)

    def line(self, line: dict[str, Any]) -> None:
        """ASCII only, so that no terminal or pipe encoding can damage a patient's name."""
        print(json.dumps(line, default=str), flush=True)

    def text(self, text: str) -> None:
        """Readable output; nothing when JSON was asked for."""
        if not self._as_json:
            print(printable(text), flush=True)

    def prose(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """A bar on stderr if that is a terminal and there is more than one file; yields `advance`."""
        if total < 2 or not sys.stderr.isatty():
            yield _nothing
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda: bar.advance(task)


def printable(text: str) -> str:
    """`text` with control characters escaped: a hostile name must not steer the terminal."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def _nothing() -> None:
    return None
