"""JSON lines or readable lines on stdout; prose and the progress bar on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Width of the longest verdict.
WORD_WIDTH = 14


class Printer:
    """The output of one command."""

    def __init__(self, *, as_json: bool) -> None:
        """as_json: stdout holds one JSON object in each line, and nothing else."""
        self._as_json = as_json

    def outcome(self, line: dict[str, Any], word: str, text: str, notes: Sequence[str] = ()) -> None:
        """Print the result for one file: the line as JSON, or word and text for people. Notes go to stderr."""
        if self._as_json:
            self.line(line)
        else:
            print(f"{printable(word):<{WORD_WIDTH}} {printable(text)}", flush=True)
        for note in notes:
            self.prose(note)

    def line(self, line: dict[str, Any]) -> None:
        """Print a JSON object in ASCII, so that no encoding of a terminal or pipe can damage a patient's name."""
        print(json.dumps(line, default=str), flush=True)

    def text(self, text: str) -> None:
        """Print text for people. Prints nothing when the output is JSON."""
        if not self._as_json:
            print(printable(text), flush=True)

    def prose(self, text: str) -> None:
        """Print text for people to stderr."""
        print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """A progress bar on stderr, if that is a terminal and there is more than one file.

        Yields the function that advances it.
        """
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
    """One line of text: whatever is no visible character is escaped.

    Names of files, patients and peers go through here. Control characters would steer the terminal, line ends (also
    U+0085, U+2028) forge a line, marks of direction (U+202A to U+202E, U+2066 to U+2069) turn words around.
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode()
        for character in text
    )


def _nothing() -> None:
    return None
