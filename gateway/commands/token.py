"""`sealgate token`: a token for a caller of the HTTP interface."""

from __future__ import annotations

import hashlib
import secrets
from typing import get_args

import click

from gateway.commands.common.printing import Printer
from gateway.config.http import Role, Token
from gateway.errors import UsageError

# Scanners for leaked secrets can recognise a token by it.
PREFIX = "sealgate_"
TOKEN_BYTES = 32

TEXT = """\
{token}

This is shown once: hand it to the caller, who sends it as "Authorization: Bearer ...".
The configuration file gets its hash:

[[http.token]]
name = "{name}"
roles = [{roles}]
sha256 = "{sha256}"
"""


@click.command("token")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice(get_args(Role)),
    multiple=True,
    required=True,
    help="What the caller may do; may be given several times. None includes another.",
)
def command(name: str, roles: tuple[Role, ...]) -> None:
    """Make a token for the caller NAME, and print the lines for the configuration file."""
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    try:
        entry = Token(name=name, roles=tuple(dict.fromkeys(roles)), sha256=sha256)
    except ValueError as error:
        raise UsageError(
            f"{name!r} is no name for a token", hint="Use 1 to 64 letters, digits, dots, - and _."
        ) from error
    quoted = ", ".join(f'"{role}"' for role in entry.roles)
    printer = Printer(as_json=False)
    for line in TEXT.splitlines():
        printer.text(line.format(token=token, name=entry.name, roles=quoted, sha256=sha256))
