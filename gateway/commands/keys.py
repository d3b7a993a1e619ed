"""`sealgate keys`: what key files hold, for people, and the key of the spool."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.commands.common import fingerprints, options
from gateway.commands.common.printing import Printer
from gateway.spool.cipher import write_spool_key


@click.group("keys")
def command() -> None:
    """Look at key files, make the key of the spool."""


@command.command("new-spool-key")
@click.argument("file", type=options.ANY_PATH)
def new_spool_key(file: Path) -> None:
    """Write a key for `gateway.spool_key` to a new FILE (mode 0600). Keep a copy: without it the spool is lost."""
    write_spool_key(file)
    Printer(as_json=False).text(f"{file}  name it as gateway.spool_key, and keep a copy elsewhere")


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
            for shown_key in fingerprints.of_file(file):
                shown_key.say(printer)
