"""`sealgate keygen`: the two key pairs a gateway and its verifiers need."""

from __future__ import annotations

from pathlib import Path

import click

from gateway import keys
from gateway.commands.options import ANY_PATH
from gateway.commands.printing import Printer

NEXT = """\
{folder}/recipient.pub  give to every gateway: it encrypts the hidden records
{folder}/recipient.key  keep where records may be opened, and in a safe; never on a gateway that only seals
{folder}/signer.key     the gateway's own signing key
{folder}/signer.pub     give to everybody who verifies"""


@click.command("keygen")
@click.argument("folder", type=ANY_PATH, metavar="DIR")
@click.option("--curve", type=click.Choice(["x25519", "p256"]), default="x25519", show_default=True)
def command(folder: Path, curve: str) -> None:
    """Write a new recipient and signer key pair into DIR; files that exist are never overwritten."""
    keys.generate(folder, curve=curve)
    Printer(as_json=False).text(NEXT.format(folder=folder))
