"""`sealgate restore`: the original objects, bit for bit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import batch, loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs_and_outputs, write_atomically
from gateway.commands.common.printing import Printer
from gateway.dicom.lazy_bytes import ByteSource
from gateway.seal.restoring import restore
from gateway.spool.stored import opened

NOT_RESTORED = ".not-restored"


@dataclass(frozen=True)
class RestoreFile:
    """The work of `sealgate restore` on one file."""

    recipient_key: Path

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened(item.source) as data:
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
            return batch.FileResult(
                line=line,
                word="not-restored",
                text=f"{item.source}  ({restoration.reason})",
                exit_code=Exit.FINDINGS,
                notes=_kept_aside(item, data),
            )
        if item.target is not None:
            write_atomically(item.target, original)
        return batch.FileResult(line=line, word="restored", text=f"{item.source}  ({restoration.reason})")

    def failed(self, item: InputFile, code: str) -> dict[str, Any]:
        return {"path": str(item.source), "restored": False, "original_digest": None, "reason": code}


@click.command("restore")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@options.recipient_key(required=True)
@options.jobs
@options.json_lines
def command(given: Path, out: Path, recipient_key: Path, jobs: int, as_json: bool) -> None:
    """Write the original of the file IN to OUT, or of every file of the folder IN into the folder OUT.

    What can't be restored is copied unchanged under a name ending in .not-restored, so that a file with its
    own name in OUT always is an original.
    """
    loading.recipient_key(recipient_key)
    task = RestoreFile(recipient_key)
    sys.exit(batch.run(task, inputs_and_outputs(given, out), jobs=jobs, printer=Printer(as_json=as_json)))


def _kept_aside(item: InputFile, data: ByteSource) -> tuple[str, ...]:
    if item.target is None:
        return ()
    aside = item.target.with_name(item.target.name + NOT_RESTORED)
    write_atomically(aside, data)
    return (f"{item.source}: not restored; copied unchanged to {aside}",)
