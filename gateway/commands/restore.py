"""`sealgate restore`: the original objects, bit for bit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.commands import batch, loading, options
from gateway.commands.exits import Exit
from gateway.commands.files import Item, inputs_and_outputs, write_atomically
from gateway.commands.printing import Printer
from gateway.restore import restore
from gateway.seal.octets import Octets
from gateway.spool import opened

NOT_RESTORED = ".not-restored"


@dataclass(frozen=True)
class RestoreFile:
    recipient_key: Path

    def __call__(self, item: Item) -> batch.Outcome:
        with opened(item.source) as data:
            return self._restored(item, data)

    def _restored(self, item: Item, data: Octets) -> batch.Outcome:
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
            return batch.Outcome(
                line=line,
                word="not-restored",
                text=f"{item.source}  ({restoration.reason})",
                exit_code=Exit.FINDINGS,
                notes=_kept_aside(item, data),
            )
        if item.target is not None:
            write_atomically(item.target, original)
        return batch.Outcome(line=line, word="restored", text=f"{item.source}  ({restoration.reason})")

    def failed(self, item: Item, code: str) -> dict[str, Any]:
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


def _kept_aside(item: Item, data: Octets) -> tuple[str, ...]:
    if item.target is None:
        return ()
    aside = item.target.with_name(item.target.name + NOT_RESTORED)
    write_atomically(aside, data)
    return (f"{item.source}: not restored; copied unchanged to {aside}",)
