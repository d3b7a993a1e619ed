"""For people at a terminal: what was verified, one table for each study, the worst first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from gateway.commands.common.batch import FileResult
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer, printable

# From the worst on. A word that is not here, such as the code of an error, stands before all of them.
MEANING = {
    "tampered": "pixels or structure were changed, or the seal was",
    "misidentified": "the header names somebody or something else",
    "altered": "what is shown, measured or where it comes from differs",
    "unreadable": "not a DICOM object, or damaged",
    "unknown-signer": "sealed with a key that is not trusted",
    "stripped": "the seal was removed; a record is in the pixels",
    "unsealed": "no trace of a seal",
    "lossy": "compressed or filtered; the pixels can't be proven",
    "amended": "as sealed, but for signed corrections",
    "transcoded": "as sealed, re-encoded without loss",
    "intact": "as it was sealed",
}
_ORDER = list(MEANING)
# UIDs begin alike; their ends tell studies apart.
TAIL = 16
FILES_SHOWN = 20


class StudyTable(Printer):
    """Takes the place of the lines of a folder: good files are counted, others named as well."""

    def __init__(self) -> None:
        super().__init__(as_json=False)
        self._files: dict[str, list[FileResult]] = defaultdict(list)
        self._whole: dict[str, tuple[str, str]] = {}

    def add(self, result: FileResult) -> None:
        """result: for one file; its group is the study."""
        self._files[result.group].append(result)

    def outcome(self, line: dict[str, Any], word: str, text: str, notes: Sequence[str] = ()) -> None:
        """Files come by `add`; what the ledger says of a study is kept. Notes go to stderr."""
        if "missing" in line and "foreign" in line:
            self._whole[line["study_instance_uid"]] = (word, text.partition("  ")[2])
        for note in notes:
            self.prose(note)

    def show(self) -> None:
        """Print all tables to stdout, which is a terminal."""
        from rich.console import Console
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        # Rich takes the width of the terminal, and leaves colours out with NO_COLOR.
        console = Console(highlight=False, markup=False, emoji=False)
        for study in sorted(self._files, key=self._badness):
            results = self._files[study]
            bad = [result for result in results if result.exit_code is not Exit.OK]
            console.print(Text(f"{_named(study)}: {len(results)} {'file' if len(results) == 1 else 'files'}"))
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
            table.add_column(justify="right", no_wrap=True)
            table.add_column(overflow="fold")
            table.add_column(overflow="fold")
            good_words = {result.word for result in results} - {result.word for result in bad}
            for word, count in sorted(Counter(result.word for result in results).items(), key=_by_word):
                shown = Text(printable(word), "green" if word in good_words else "red")
                table.add_row(Text(str(count)), shown, Text(MEANING.get(word, "see below")))
            if study in self._whole:
                word, detail = self._whole[study]
                style = "green" if word == "complete" else "red"
                table.add_row(Text(""), Text(word, style), Text(printable(detail)))
            console.print(Padding(table, (0, 0, 0, 2)))
            for result in sorted(bad, key=lambda result: _rank(result.word))[:FILES_SHOWN]:
                console.print(Padding(Text(printable(result.text), overflow="fold"), (0, 0, 0, 4)))
            if len(bad) > FILES_SHOWN:
                console.print(
                    Padding(Text(f"and {len(bad) - FILES_SHOWN} more: --json names all"), (0, 0, 0, 4))
                )

    def _badness(self, study: str) -> tuple[int, int, str]:
        worst = min(_rank(result.word) for result in self._files[study])
        incomplete = self._whole.get(study, ("complete", ""))[0] != "complete"
        return (
            (0 if incomplete else 1, worst, study) if worst >= _ORDER.index("amended") else (0, worst, study)
        )


def _rank(word: str) -> int:
    return _ORDER.index(word) if word in MEANING else -1


def _by_word(counted: tuple[str, int]) -> tuple[int, str]:
    return _rank(counted[0]), counted[0]


def _named(study: str) -> str:
    if not study:
        return "files of no study"
    return "study " + printable(study if len(study) <= TAIL else f"...{study[-TAIL:]}")
