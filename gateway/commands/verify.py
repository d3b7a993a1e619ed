"""`sealgate verify`: what is true of a file, or of every file of a folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands.common import batch, loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs, opened_input
from gateway.commands.common.ledgered import LedgerFindings, Whole
from gateway.commands.common.printing import Printer
from gateway.commands.common.study_table import StudyTable
from gateway.dicom.tags import STUDY_INSTANCE_UID
from gateway.errors import UsageError
from gateway.seal.header.classes import HeaderClasses, moved
from gateway.seal.verifying import Examination, Report, Verdict, verify_examined

TILES_SHOWN = 4


@dataclass(frozen=True)
class VerifyFile:
    """The work of `sealgate verify` on one file.

    signers: whose seals are believed; None: nobody's.
    recipient_key: opens the hidden record; None: it stays closed.
    memory_bytes: that it may take.
    certificates: whose standard signatures are believed; None: nobody's.
    classes: what a difference in an element means at this site.
    """

    signers: Path | None
    recipient_key: Path | None
    memory_bytes: int
    certificates: Path | None = None
    classes: HeaderClasses = field(default_factory=HeaderClasses)

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            examination = Examination(data, loading.codec())
            report = verify_examined(
                examination,
                trusted=loading.trusted_signers(self.signers) if self.signers else None,
                recipient_key=loading.recipient_key(self.recipient_key) if self.recipient_key else None,
                classes=self.classes,
                certificates=loading.certificate_trust(self.certificates) if self.certificates else None,
            )
            readable = report.verdict is not Verdict.UNREADABLE
            study = examination.file.text(STUDY_INSTANCE_UID) if readable else ""
        return batch.FileResult(
            line={"path": str(item.source)} | report.to_json(),
            word=report.verdict.value,
            text=f"{item.source}{described(report)}",
            exit_code=Exit.OK if report.ok else Exit.FINDINGS,
            group=study,
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {
            "path": str(item.source),
            "sop_instance_uid": None,
            "verdict": "unreadable",
            "level": None,
            "checks": [{"n": 0, "name": code, "ok": False, "detail": message}],
            "header_differences": [],
            "tampered_tiles": [],
            "format_version": None,
        }


@click.command("verify")
@click.argument("given", type=options.EXISTING, metavar="IN")
@options.signers
@options.recipient_key(required=False)
@click.option(
    "--certificates",
    type=options.EXISTING,
    help="PEM file: certificates or authorities whose standard signatures and time stamps are believed.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file of a gateway, whose verify.classes are taken.",
)
@click.option(
    "--ledger",
    "with_ledger",
    is_flag=True,
    help="Ask the ledger of the gateway of --config: newer sealed versions, missing and foreign instances.",
)
@click.option(
    "--complete",
    type=click.Choice(["study", "series"]),
    default="study",
    show_default=True,
    help="With --ledger and a folder: what must be complete, each study or only each series that is there.",
)
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path,
    signers: Path | None,
    recipient_key: Path | None,
    certificates: Path | None,
    config_path: Path | None,
    with_ledger: bool,
    complete: Whole,
    jobs: int,
    memory: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Verify the file IN, or every file of the folder IN.

    Exit code 0 only if all are intact, transcoded or amended; 3 if any is not. With --ledger also 3 if a newer sealed
    version exists, a seal was removed, or a folder is not complete. At a terminal, a folder is told as one table for
    each study, the worst first; elsewhere as a line for each file.
    """
    if with_ledger and config_path is None:
        raise UsageError(
            "--ledger needs --config", hint="Give the configuration file of the gateway that sealed."
        )
    if signers:
        loading.trusted_signers(signers)
    if recipient_key:
        loading.recipient_key(recipient_key)
    if certificates:
        loading.certificate_trust(certificates)
    settings = config.load(config_path) if config_path else None
    classes = moved(settings.verify.classes or {}) if settings else HeaderClasses()
    task = VerifyFile(signers, recipient_key, memory, certificates, classes)
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    # At a terminal a folder is told by study; pipes and files get a line for each file, as ever.
    table = StudyTable() if sys.stdout.isatty() and not as_json and given.is_dir() else None
    printer, items = table or Printer(as_json=as_json), inputs(given)
    findings = None
    if with_ledger and settings is not None:
        findings = LedgerFindings(settings, items, whole=complete, memory_bytes=memory, limits=limits)

    def added(item: InputFile, result: batch.FileResult) -> batch.FileResult:
        completed = findings.added(item, result) if findings else result
        if table:
            table.add(completed)
        return completed

    code = batch.run(task, items, jobs=jobs, printer=printer, limits=limits, added=added)
    if findings and given.is_dir():
        whole = findings.tell_whether_complete(given, printer)
        code = whole if code is Exit.OK else code
    if table:
        table.show()
    sys.exit(code)


def _difference(difference: dict[str, Any]) -> str:
    """What differs, and how where both values are known."""
    name = str(difference.get("path") or difference["keyword"])
    if difference["sealed"] is None:
        return f"{name} changed"
    word = "corrected" if difference.get("amended") else "changed"
    return (
        f"{name} {word} from {difference['sealed'] or 'nothing'!s} to {difference['header'] or 'nothing'!s}"
    )


def described(report: Report) -> str:
    """The text behind a path: loss, fields that differ and tiles that changed, or else the first check that failed."""
    findings = [check.detail for check in report.checks if check.n == 5 and report.lossy]
    if report.header_differences:
        findings.append(", ".join(map(_difference, report.header_differences)))
    if report.tampered_tiles:
        shown = [
            f"frame {frame} at row {row}, column {column} ({height}x{width})"
            for frame, row, column, height, width in report.tampered_tiles[:TILES_SHOWN]
        ]
        more = len(report.tampered_tiles) - len(shown)
        findings.append("pixels changed in " + "; ".join(shown) + (f" and {more} more" if more else ""))
    for signature in report.standard_signatures:
        by = f" by {signature['signer']}" if signature["signer"] else ""
        believed = "" if signature["trusted"] else ", of nobody who is trusted"
        stamp = f", time stamp {signature['time_stamp']}" if signature["stamped_at"] else ""
        findings.append(f"standard signature{by}: {signature['state']}{believed}{stamp}")
    if not findings:
        failed = [check for check in report.checks if not check.ok]
        findings += [f"check {check.n}, {check.name}: {check.detail}" for check in failed[:1]]
    return f"  ({'; '.join(findings)})" if findings else ""
