"""`sealgate wrap`: a DICOM object of a PNG, JPEG or TIFF."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import batch, options
from gateway.commands.common.files import InputFile, inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import Printer
from gateway.errors import UsageError
from gateway.images import picture
from gateway.images.wrapping import checked_fields, wrapped

NOTHING: dict[str, Any] = {
    "sop_instance_uid": None, "sop_class_uid": None, "transfer_syntax_uid": None, "rows": None, "columns": None,
    "frames": None, "notes": [],
}  # fmt: skip


@dataclass(frozen=True)
class WrapFile:
    """The work of `sealgate wrap` on one file.

    kind: "sc" or "op".
    fields: keyword -> value, checked.
    memory_bytes: that it may take.
    """

    kind: str
    fields: dict[str, str]
    memory_bytes: int

    def __call__(self, item: InputFile) -> batch.FileResult:
        with opened_input(item, self.memory_bytes) as source:
            shown = picture.read(source[:])
        data, dataset = wrapped(shown, self.kind, self.fields, now=datetime.now(UTC), entropy=os.urandom)
        write_output(item, data)
        frames, rows, columns, _ = shown.samples.shape
        line = {
            "path": str(item.source),
            "sop_instance_uid": str(dataset.SOPInstanceUID),
            "sop_class_uid": str(dataset.SOPClassUID),
            "transfer_syntax_uid": str(dataset.file_meta.TransferSyntaxUID),
            "rows": rows,
            "columns": columns,
            "frames": frames,
            "notes": list(shown.notes),
        }
        done = f"; {', '.join(shown.notes)}" if shown.notes else ""
        text = f"{item.source}  ({frames} x {rows} x {columns}, {dataset.PhotometricInterpretation}{done})"
        return batch.FileResult(line=line, word="wrapped", text=text)

    def failed(self, item: InputFile, code: str, message: str) -> dict[str, Any]:
        return {"path": str(item.source)} | NOTHING | {"reason": code, "detail": message}


@click.command("wrap")
@click.argument("given", type=options.EXISTING, metavar="IMAGE")
@click.argument("out", type=options.ANY_PATH, metavar="OUT")
@click.option(
    "--class",
    "kind",
    type=click.Choice(["sc", "op"]),
    required=True,
    help="Secondary Capture, or Ophthalmic Photography.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="A DICOM element and its value; repeatable. Several values are separated by a backslash.",
)
@options.limits
@options.json_lines
def command(
    given: Path, out: Path, kind: str, fields: tuple[str, ...], memory: int, timeout: float, as_json: bool
) -> None:
    """Make the DICOM object OUT of the PNG, JPEG or TIFF file IMAGE.

    A baseline JPEG stays compressed as it is; all else is written without loss. What an image can't tell, such as the
    patient, is given with --field.
    """
    if given.is_dir():
        raise UsageError(
            "IMAGE is a folder", hint="Wrap each image by itself: its patient is given by --field."
        )
    task = WrapFile(kind, checked_fields(fields), memory)
    limits = batch.FileLimits(memory_bytes=memory, timeout_s=timeout)
    sys.exit(
        batch.run(
            task, inputs_and_outputs(given, out), jobs=1, printer=Printer(as_json=as_json), limits=limits
        )
    )
