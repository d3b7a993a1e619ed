"""`sealgate keys`: what key files hold, for people."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.commands import fingerprints, options
from gateway.commands.printing import Printer


@click.group("keys")
def command() -> None:
    """Look at key files."""


@command.command("show")
@click.argument("paths", type=options.EXISTING, nargs=-1, required=True, metavar="FILE...")
@options.json_lines
def show(paths: tuple[Path, ...], as_json: bool) -> None:
    """Role, id and fingerprint of the keys in FILE, to compare by telephone. Never shows a private key.

    A folder stands for its *.pub files.
    """
    printer = Printer(as_json=as_json)
    for path in paths:
        for file in sorted(path.glob("*.pub")) if path.is_dir() else [path]:
            for shown in fingerprints.of_file(file):
                shown.say(printer)
