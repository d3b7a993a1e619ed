"""`sealgate password`: a line for the file of users who may open associations."""

from __future__ import annotations

import sys

import click

from gateway.commands.common.printing import Printer
from gateway.dimse import users


@click.command("password")
@click.argument("name")
def command(name: str) -> None:
    """Print a line for `users.file`: NAME and the Argon2id hash of a password.

    The password is asked for on a terminal, otherwise it is the first line of standard input.
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    Printer(as_json=False).text(users.line(name, password.encode()))
