"""`sealgate keygen`: the two key pairs that a gateway and its verifiers need."""

from __future__ import annotations

from pathlib import Path

import click

from gateway import keys
from gateway.commands.common import fingerprints
from gateway.commands.common.options import ANY_PATH, EXISTING
from gateway.commands.common.printing import Printer

NEXT = """\
{folder}/recipient.pub  give to every gateway: it encrypts the hidden records
{folder}/recipient.key  keep where records may be opened, and in a safe; never on a gateway that only seals
{folder}/signer.key     the gateway's own signing key
{folder}/signer.pub     give to everybody who verifies

Who gets a .pub file runs `sealgate keys show FILE` and reads the fingerprint to you by telephone:"""


@click.command("keygen")
@click.argument("folder", type=ANY_PATH, metavar="DIR")
@click.option("--curve", type=click.Choice(["x25519", "p256"]), default="x25519", show_default=True)
@click.option(
    "--passphrase-file",
    type=EXISTING,
    help="Encrypt the private keys with the first line of this file (mode 0600).",
)
def command(folder: Path, curve: str, passphrase_file: Path | None) -> None:
    """Write a new recipient and signer key pair into DIR; files that exist are never overwritten.

    States the fingerprints of both, to be compared by telephone.
    """
    passphrase = keys.read_passphrases(passphrase_file)[0] if passphrase_file else None
    keys.generate(folder, curve=curve, passphrase=passphrase)
    printer = Printer(as_json=False)
    for line in NEXT.splitlines():
        printer.text(line.format(folder=folder))
    for name in ("recipient.pub", "signer.pub"):
        for shown_key in fingerprints.of_file(folder / name):
            shown_key.say(printer)
