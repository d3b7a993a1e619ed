"""`sealgate ledger`: the append-only log of what was sealed, exported, checked and shown."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands.common import loading, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.errors import LedgerBroken, ResourceError, UsageError
from gateway.ledger import exporting
from gateway.ledger.checking import LedgerReport, check
from gateway.ledger.checkpoint import SignedCheckpoint
from gateway.ledger.folder import FOLDER, LedgerFolder, read_note
from gateway.ledger.looking import Logged, find
from gateway.observe.pseudonyms import Pseudonyms


@click.group("ledger")
def command() -> None:
    """The log of what this gateway sealed: append-only, signed, without patient data.

    gateway/ledger/LEDGER.md says what it is, byte for byte; each export has a copy of it.
    """


@command.command("export")
@click.argument("folder", type=options.ANY_PATH, metavar="DIR")
@options.config_file
@options.json_lines
def export(folder: Path, config_path: Path, as_json: bool) -> None:
    """Write the ledger as it was signed last to the new folder DIR, also while the gateway runs.

    Others can check it without the gateway and its keys. Hand over signer.pub by other means.
    """
    checkpoint = exporting.export(_ledger(config_path), folder.absolute())
    printer = Printer(as_json=as_json)
    if as_json:
        printer.line(
            {
                "folder": str(folder),
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
            }
        )
    printer.text(f"{folder}: {checkpoint.size} entries of {checkpoint.origin}")


@command.command("check")
@click.argument("folder", type=options.EXISTING, metavar="DIR")
@options.signers
@click.option(
    "--since", type=options.EXISTING, help="An older checkpoint, that must be a beginning of this one."
)
@click.option(
    "--certificates",
    type=options.EXISTING,
    help="PEM file: authorities whose time stamps are believed.",
)
@options.json_lines
def check_export(
    folder: Path, signers: Path | None, since: Path | None, certificates: Path | None, as_json: bool
) -> None:
    """Check an export: tree, signature, time stamps, and an older checkpoint against it. Needs no gateway.

    Exit code 3, with words, where anything is wrong.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="Give a folder that `sealgate ledger export` wrote.")
    trusted = loading.trusted_signers(signers) if signers else None
    older = _older(since) if since else None
    try:
        report = check(
            folder,
            signers=trusted,
            since=older,
            certificates=loading.certificate_trust(certificates) if certificates else None,
        )
    except OSError as error:
        raise ResourceError(f"{folder}: {error.strerror or error}", hint="Check the permissions.") from error
    printer = Printer(as_json=as_json)
    printer.outcome(
        {"folder": str(folder)} | report.to_json(), "good" if report.ok else "wrong", _told(report)
    )
    for line in (*report.problems, *report.remarks):
        printer.prose(line)
    sys.exit(Exit.OK if report.ok else Exit.FINDINGS)


@command.command("show")
@options.config_file
@click.option("--instance", metavar="UID", help="Entries of the instance with this SOP Instance UID.")
@click.option("--series", metavar="UID", help="Entries of the series with this Series Instance UID.")
@click.option("--study", metavar="UID", help="Entries of the study with this Study Instance UID.")
@options.json_lines
def show(
    config_path: Path, instance: str | None, series: str | None, study: str | None, as_json: bool
) -> None:
    """Show what the ledger holds of an instance, series or study; of the whole ledger, its size and checkpoint.

    Entries of the last seconds may still be on their way into it.
    """
    printer, ledger = Printer(as_json=as_json), _ledger(config_path)
    if not (instance or series or study):
        _show_all(ledger, printer)
        return
    pseudonyms = Pseudonyms.existing(config.load(config_path).gateway.data_dir)

    def wanted(uid: str | None) -> set[bytes]:
        return {bytes.fromhex(pseudonyms.of(uid))} if uid else set()

    found = list(find(ledger, instances=wanted(instance), series=wanted(series), studies=wanted(study)))
    versions = Counter(logged.entry.instance for logged in found)
    for logged in found:
        _show(logged, versions[logged.entry.instance], printer)
        versions[logged.entry.instance] -= 1
    printer.prose(f"{len(found)} entries")


def _ledger(config_path: Path) -> LedgerFolder:
    """Raises UsageError when there is none."""
    data_dir = config.load(config_path).gateway.data_dir
    ledger = LedgerFolder(data_dir / FOLDER)
    if not ledger.exists:
        raise UsageError(
            f"there is no ledger in {data_dir}",
            hint="Look at gateway.data_dir and ledger.enabled; it begins with the first object that is sealed.",
        )
    return ledger


def _older(path: Path) -> SignedCheckpoint:
    """Raises UsageError."""
    try:
        return read_note(path / "checkpoint" if path.is_dir() else path)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except LedgerBroken as error:
        raise UsageError(f"{path}: {error}", hint="Give the file `checkpoint` of an older export.") from error


def _told(report: LedgerReport) -> str:
    if report.origin is None:
        return "no checkpoint"
    signer = f"signed by {report.signer}" if report.signer else "signed by nobody who is known"
    return f"{report.size} entries of {report.origin}, {signer}, {len(report.stamps)} time stamps"


def _show_all(ledger: LedgerFolder, printer: Printer) -> None:
    signed, last = ledger.checkpoint(), ledger.open_bundle()
    ledger.check()
    line: dict[str, Any] = {
        "origin": ledger.origin(),
        "entries": last.end,
        "signed": signed.checkpoint.size if signed else None,
        "root": signed.checkpoint.root.hex() if signed else None,
        "keys": ledger.verifier_keys(),
        "stamps": ledger.stamps(),
    }
    printer.outcome(
        line, "ledger", f"{line['origin']}: {line['entries']} entries, {line['signed']} of them signed"
    )


def _show(logged: Logged, left: int, printer: Printer) -> None:
    """left: how many versions of the instance are left, with this one."""
    line = {"index": logged.index} | logged.entry.to_json() | {"superseded": left > 1}
    word = "superseded" if left > 1 else "newest"
    printer.outcome(
        line, word, f"{logged.index}  {line['sealed_at']}  {line['level']:<6}  instance {line['instance']}"
    )
