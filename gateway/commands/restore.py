"""`sealgate restore`: the original objects, bit for bit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import batch, loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import Printer
from gateway.commands.common.reasons import why
from gateway.dicom.lazy_bytes import ByteSource
from gateway.seal.restoring import restore

NOT_RESTORED = ".not-restored"


@dataclass(frozen=True)
class RestoreFile:
    """The work of `sealgate restore` on one file."""

    recipient_key: Path
    memory_bytes: int

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            return self._restored(item, data)

    def _restored(self, item: InputFile, data: ByteSource) -> batch.FileResult:
        original, restoration = restore(
            data, recipient_key=loading.recipient_key(self.recipient_key), codec=loading.codec()
        )
        line = {
            "path": str(item.source),
            "restored": restoration.restored,
            "original_digest": restoration.original_digest,
            "reason": restoration.reason,
        }
        if original is None:
            line["detail"] = why(restoration.reason, data)
            return batch.FileResult(
                line=line,
                word="not-restored",
                text=f"{item.source}  ({why(restoration.reason, data)})",
                exit_code=Exit.FINDINGS,
                notes=_kept_aside(item, data),
            )
        write_output(item, original)
        return batch.FileResult(line=line, word="restored", text=f"{item.source}  ({restoration.reason})")

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {
            "path": str(item.source),
            "restored": False,
            "original_digest": None,
            "reason": code,
            "detail": message,
        }


@click.command("restore")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@options.recipient_key(required=True)
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path, out: Path, recipient_key: Path, jobs: int, memory: int, timeout: float, as_json: bool
) -> None:
    """Write the original of the file IN to OUT, or of every file of the folder IN into the folder OUT.

    What can't be restored is copied unchanged under a name ending in .not-restored, so that a file with its
    own name in OUT always is an original.
    """
    loading.recipient_key(recipient_key)
    task = RestoreFile(recipient_key, memory)
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    printer = Printer(as_json=as_json)
    sys.exit(
        batch.run(
            task,
            inputs_and_outputs(given, out, aside=NOT_RESTORED),
            jobs=jobs,
            printer=printer,
            limits=limits,
        )
    )


def _kept_aside(item: InputFile, data: ByteSource) -> tuple[str, ...]:
    aside = write_output(item, data, aside=True)
    if aside is None:
        return ()
    return (f"{item.source}: not restored; copied unchanged to {aside}",)
