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
from gateway.seal.examination import Examination
from gateway.seal.verifying import restore_verified

NOT_RESTORED = ".not-restored"


@dataclass(frozen=True)
class RestoreFile:
    """The work of `sealgate restore` on one file.

    signers: whose seals are believed; None: nobody's.
    recipient_key: opens the records.
    memory_bytes: that it may take.
    unverified: the original of what does not verify is written, too.
    """

    signers: Path | None
    recipient_key: Path
    memory_bytes: int
    unverified: bool = False

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            return self._restored(item, data)

    def _restored(self, item: InputFile, data: ByteSource) -> batch.FileResult:
        original, restoration = restore_verified(
            Examination(data, loading.codec()),
            trusted=loading.trusted_signers(self.signers) if self.signers else None,
            recipient_key=loading.recipient_key(self.recipient_key),
            unverified=self.unverified,
        )
        line = {
            "path": str(item.source),
            "restored": restoration.restored,
            "original_digest": restoration.original_digest,
            "reason": restoration.reason,
            "verdict": restoration.verdict,
            "whole": restoration.whole,
        }
        if original is None:
            reason = why(restoration.reason, data)
            if restoration.reason == "not-verified":
                reason = f"it verifies {restoration.verdict}; --unverified restores it all the same"
            line["detail"] = reason
            return batch.FileResult(
                line=line,
                word="not-restored",
                text=f"{item.source}  ({reason})",
                exit_code=Exit.FINDINGS,
                notes=_kept_aside(item, data),
            )
        write_output(item, original)
        kind = "byte for byte" if restoration.whole else "pixels bit for bit"
        if not restoration.verified:
            return batch.FileResult(
                line=line,
                word="unverified",
                text=f"{item.source}  (restored, but it verifies {restoration.verdict}: do not rely on it)",
                exit_code=Exit.FINDINGS,
            )
        return batch.FileResult(
            line=line, word="restored", text=f"{item.source}  ({restoration.reason}; {kind})"
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {
            "path": str(item.source),
            "restored": False,
            "original_digest": None,
            "reason": code,
            "verdict": None,
            "whole": False,
            "detail": message,
        }


@click.command("restore")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@options.signers
@options.recipient_key(required=True)
@click.option("--unverified", is_flag=True, help="Restore what does not verify, too; exit code 3.")
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path,
    out: Path,
    signers: Path | None,
    recipient_key: Path,
    unverified: bool,
    jobs: int,
    memory: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Write the original of the file IN to OUT, or of every file of the folder IN into the folder OUT.

    Each is verified first, with --signers. What does not verify, or can't be restored, is copied unchanged
    under a name ending in .not-restored, so that a file with its own name in OUT always is an original.
    """
    if signers:
        loading.trusted_signers(signers)
    loading.recipient_key(recipient_key)
    task = RestoreFile(signers, recipient_key, memory, unverified)
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
