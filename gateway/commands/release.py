"""`sealgate release`: objects for research and teaching, without seal and record, de-identified by the site."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands.common import batch, loading, options
from gateway.commands.common.deidentifying import DeidentifyCommand
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import InputFile, inputs, inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import Printer
from gateway.commands.common.reasons import why
from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import UsageError
from gateway.seal.examination import Examination
from gateway.seal.header.classes import HeaderClasses, moved
from gateway.seal.releasing import Release, ReleaseRules, left_over, release

NOT_RELEASED = "not-released"


@dataclass(frozen=True)
class ReleaseFile:
    """The work of `sealgate release` on one file.

    deidentify: run on each object; None: objects are written with their patient in the header.
    memory_bytes: that one file may take.
    classes: what a difference in an element means at this site.
    """

    signers: Path
    recipient_key: Path
    rules: ReleaseRules
    deidentify: DeidentifyCommand | None
    memory_bytes: int
    classes: HeaderClasses

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as data:
            released, result = release(
                data,
                trusted=loading.trusted_signers(self.signers),
                recipient_key=loading.recipient_key(self.recipient_key),
                codec=loading.codec(),
                rules=self.rules,
                classes=self.classes,
            )
            if released is None or item.target is None:
                return self._refused(item, result, result.reason, why(result.reason, data))
            if self.deidentify is not None:
                released = self.deidentify.run(released)
                left = left_over(
                    Examination(released, loading.codec(), deep=True), result.statement, self.rules
                )
                if left is not None:
                    return self._refused(item, result, left, left)
            return self._written(item, item.target, result, released)

    def _written(
        self, item: InputFile, target: Path, result: Release, released: ByteSource
    ) -> batch.FileResult:
        write_output(item, released)
        return batch.FileResult(
            line={
                "path": str(item.source),
                "released": True,
                "reason": result.reason,
                "detail": None,
                "verdict": result.report.verdict.value,
                "level": result.report.level,
                "deidentified": self.deidentify is not None,
                "output": str(target),
            },
            word="released",
            text=f"{item.source}  ({result.reason}: {target})",
        )

    def _refused(self, item: InputFile, result: Release, reason: str, text: str) -> batch.FileResult:
        line = self.failed(item, reason, text)
        return batch.FileResult(
            line=line | {"verdict": result.report.verdict.value, "level": result.report.level},
            word=NOT_RELEASED,
            text=f"{item.source}  ({text})",
            exit_code=Exit.FINDINGS,
        )

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {
            "path": str(item.source),
            "released": False,
            "reason": code,
            "detail": message,
            "verdict": None,
            "level": None,
            "deidentified": False,
            "output": None,
        }


@click.command("release")
@click.argument("given", type=options.EXISTING, metavar="IN")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@click.option(
    "--signers",
    type=options.EXISTING,
    help="Public key, or folder of them, whose seals are believed.  [default: keys.signers of FILE]",
)
@click.option(
    "--recipient-key",
    type=options.EXISTING,
    help="Private key that restores the pixels.  [default: keys.recipient_key of FILE]",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file (TOML) whose [release] names the de-identification command.",
)
@options.jobs
@options.limits
@options.json_lines
def command(
    given: Path,
    out: Path,
    signers: Path | None,
    recipient_key: Path | None,
    config_path: Path | None,
    jobs: int,
    memory: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Take the seal off the file IN, or off every file of the folder IN, for research or teaching.

    Each object is verified, its pixels are restored, and it is searched for anything that sealing left. Then
    release.command of the configuration de-identifies it, and the result is searched again. Without that command
    the outputs still name their patients.

    Outputs of a folder are numbered files in the new folder OUT: names of inputs often name a patient. What is
    not good is not written; exit code 3 then.
    """
    printer = Printer(as_json=as_json)
    settings = config.load(config_path) if config_path else None
    own_keys = settings.keys if settings else config.KeySettings()
    signers = signers or own_keys.signers
    recipient_key = recipient_key or own_keys.recipient_key
    if signers is None or recipient_key is None:
        raise UsageError(
            "releasing needs trusted signers and a recipient key",
            hint="Give --signers and --recipient-key, or a --config that names them.",
        )
    loading.trusted_signers(signers)
    loading.recipient_key(recipient_key)
    table = settings.release if settings else config.ReleaseSettings()
    deidentify = DeidentifyCommand(table.command, table.timeout_s) if table.command else None
    if deidentify is None:
        printer.prose("no release.command: the outputs still name their patients in the header")
    else:
        deidentify.check()
    rules = ReleaseRules(unsealed=table.unsealed == "release", undecodable=table.undecodable == "release")
    classes = moved(settings.verify.classes or {}) if settings else HeaderClasses()
    task = ReleaseFile(signers, recipient_key, rules, deidentify, memory, classes)
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    sys.exit(batch.run(task, _numbered(given, out), jobs=jobs, printer=printer, limits=limits))


def _numbered(given: Path, out: Path) -> list[InputFile]:
    """A file for a file; for a folder numbered outputs, in a folder without files of an earlier run.

    Raises UsageError, ResourceError.
    """
    if not given.is_dir():
        return inputs_and_outputs(given, out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already, and not empty", hint="Name a new folder.")
    if out.resolve().is_relative_to(given.resolve()):
        raise UsageError(f"{out} lies inside the input folder", hint="Name an output folder elsewhere.")
    return [
        replace(item, target=out / f"{number:06d}.dcm", out=out)
        for number, item in enumerate(inputs(given), 1)
    ]
