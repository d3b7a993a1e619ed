"""`sealgate backup`: a consistent copy of data_dir, also of a running gateway."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway import config
from gateway.commands.common import options
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.service.backup import back_up


@click.command("backup")
@click.argument("folder", type=options.ANY_PATH)
@options.config_file
@options.json_lines
def command(folder: Path, config_path: Path, as_json: bool) -> None:
    """Copy the gateway's data_dir to a new FOLDER, also while the gateway runs.

    To restore, stop the gateway and put FOLDER in the place of data_dir. Exit code 3 if objects that the queue
    needs are missing or damaged.
    """
    printer = Printer(as_json=as_json)
    backup = back_up(config.load(config_path).gateway.data_dir, folder.absolute())
    if as_json:
        printer.line({"folder": str(folder)} | asdict(backup))
    printer.text(f"{folder}: {backup.files} objects, {backup.bytes} bytes")
    for names, what in ((backup.missing, "missing"), (backup.damaged, "damaged")):
        for name in names:
            printer.prose(f"{what}: {name}")
    sys.exit(Exit.FINDINGS if backup.missing or backup.damaged else Exit.OK)
