"""`sealgate extract`: the record hidden in the pixels."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import batch, loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs, opened_input
from gateway.commands.common.printing import Printer
from gateway.commands.common.reasons import why
from gateway.dicom.lazy_bytes import ByteSource
from gateway.seal.verifying import Extraction, extract


@dataclass(frozen=True)
class ExtractFile:
    """The work of `sealgate extract` on one file."""

    recipient_key: Path
    memory_bytes: int

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as source:
            data = source[:]
        extraction = extract(
            data, recipient_key=loading.recipient_key(self.recipient_key), codec=loading.codec()
        )
        line = {
            "path": str(item.source),
            "found": extraction.found,
            "mode": extraction.mode,
            "record": extraction.record,
            "raw_bit_error_rate": extraction.raw_bit_error_rate,
            "reason": extraction.reason,
            "recipient_id": extraction.recipient_id,
        }
        word, words = described(extraction, data)
        if not extraction.found:
            line["detail"] = words
            words = f"({words})"
        return batch.FileResult(
            line=line,
            word=word,
            text=f"{item.source}  {words}",
            exit_code=Exit.OK if extraction.found else Exit.FINDINGS,
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        nothing: dict[str, Any] = {"found": False, "mode": None, "record": {}, "raw_bit_error_rate": None}
        return (
            {"path": str(item.source)} | nothing | {"reason": code, "recipient_id": None, "detail": message}
        )


def described(extraction: Extraction, data: ByteSource) -> tuple[str, str]:
    """A word about the file, and the values of the record, or why it stays closed."""
    match extraction.reason:
        case "found":
            values = (extraction.record or {}).items()
            return "found", ", ".join(f"{keyword}={value}" for keyword, value in values)
        case "other-key":
            return "other-key", f"a record for another key: recipient id {extraction.recipient_id}"
        case "envelope-missing":
            return "not-opened", "the pixels point to a record, and its envelope was removed"
        case "not-opened":
            return "not-opened", "a record is there, but it was changed"
        case reason:
            return "nothing", why(reason, data)


@click.command("extract")
@click.argument("given", type=options.EXISTING, metavar="IN")
@options.recipient_key(required=True)
@options.jobs
@options.limits
@options.json_lines
def command(given: Path, recipient_key: Path, jobs: int, memory: int, timeout: float, as_json: bool) -> None:
    """Show the patient record hidden in the pixels of the file IN, or of every file of the folder IN.

    Works also when every private element was removed and the file was re-encoded. A record that was encrypted to
    another key is told from none at all, with the id of that key (`sealgate keys show`). Exit code 0 only if
    every file gave a record; 3 if any did not.
    """
    loading.recipient_key(recipient_key)
    task = ExtractFile(recipient_key, memory)
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    printer = Printer(as_json=as_json)
    sys.exit(batch.run(task, inputs(given), jobs=jobs, printer=printer, limits=limits))
