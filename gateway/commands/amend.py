"""`sealgate amend`: correct the header of sealed objects, and sign the correction."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import keys
from gateway.commands.common import batch, loading, options
from gateway.commands.common.files import InputFile, inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import Printer
from gateway.seal.amending import Correcting, amend


@dataclass(frozen=True)
class AmendFile:
    """The work of `sealgate amend` on one file.

    values: keyword -> the new value.
    signer: private key that signs the correction.
    signers: whose seals are believed beside the signer's; None: nobody's.
    memory_bytes: that it may take.
    """

    values: dict[str, str]
    reason: str
    by: str
    signer: Path
    signers: Path | None
    memory_bytes: int

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            amended, report = amend(
                data[:],
                correcting(self.values, self.reason, self.by),
                signer=loading.signer(self.signer),
                trusted=trusted(self.signer, self.signers),
                codec=loading.codec(),
            )
        write_output(item, amended)
        line = {
            "path": str(item.source),
            "sop_instance_uid": report.sop_instance_uid,
            "amendments": [dict(amendment) for amendment in report.amendments],
        }
        return batch.FileResult(line=line, word="amended", text=f"{item.source}  ({', '.join(self.values)})")

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {
            "path": str(item.source),
            "sop_instance_uid": None,
            "amendments": [],
            "reason": code,
            "detail": message,
        }


@click.command("amend")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@click.option(
    "--set",
    "settings",
    multiple=True,
    required=True,
    metavar="KEYWORD=VALUE",
    help="An element and its value.",
)
@click.option("--reason", required=True, help="Why, in words.")
@click.option("--by", default=getpass.getuser, show_default="user of this machine", help="Who, in words.")
@click.option("--signer", type=options.EXISTING, required=True, help="Private key that signs the correction.")
@options.signers
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path,
    out: Path,
    settings: tuple[str, ...],
    reason: str,
    by: str,
    signer: Path,
    signers: Path | None,
    jobs: int,
    memory: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Correct elements of the sealed file IN, or of every file of the folder IN, and write it to OUT.

    The seal stays; the correction is signed beside it, and verifying says `amended` with who, when and why.
    """
    values = dict(_setting(text) for text in settings)
    correcting(values, reason, by).check()
    trusted(signer, signers)
    task = AmendFile(values, reason, by, signer, signers, memory)
    sys.exit(
        batch.run(
            task,
            inputs_and_outputs(given, out),
            jobs=jobs,
            printer=Printer(as_json=as_json),
            limits=batch.FileLimits(memory_bytes=memory, timeout_s=timeout),
        )
    )


def correcting(values: dict[str, str], reason: str, by: str) -> Correcting:
    return Correcting(values=values, reason=reason, by=by, at=datetime.now(UTC))


def trusted(signer: Path, signers: Path | None) -> keys.TrustedSigners:
    """Whose seals and corrections are believed: the signer's own, and those that were given."""
    others = loading.trusted_signers(signers) if signers else keys.TrustedSigners([])
    return others.with_key(loading.signer(signer).public)


def _setting(text: str) -> tuple[str, str]:
    keyword, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter("write KEYWORD=VALUE, as in PatientName=DOE^JANE", param_hint="--set")
    return keyword, value
