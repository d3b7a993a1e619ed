"""`sealgate check`: is the configuration good, and does every destination answer?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway import config, service
from gateway.commands import options
from gateway.commands.exits import Exit
from gateway.commands.printing import Printer
from gateway.errors import PeerError
from gateway.keyring import KeyRing


@click.command("check")
@options.config_file
@click.option("--echo", is_flag=True, help="C-ECHO every destination.")
@options.json_lines
def command(config_path: Path, echo: bool, as_json: bool) -> None:
    """Validate the configuration and the keys it names; with --echo, C-ECHO every destination.

    Exit code 2 if the configuration is wrong (every error with its key and a hint), 3 if a destination does
    not answer.
    """
    printer = Printer(as_json=as_json)
    settings = config.load(config_path)
    KeyRing.load(settings.keys)
    routes = len(settings.route)
    printer.prose(f"{config_path}: good ({len(settings.destination)} destinations, {routes} routes)")
    answered = [_echo(destination, printer) for destination in settings.destination] if echo else []
    sys.exit(Exit.OK if all(answered) else Exit.FINDINGS)


def _echo(destination: config.Destination, printer: Printer) -> bool:
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    line = {
        "destination": destination.name,
        "ae_title": destination.ae_title,
        "host": destination.host,
        "port": destination.port,
    }
    try:
        took_ms = service.echo(destination)
    except PeerError as error:
        text = f"{destination.name}: {where}: {error}"
        printer.outcome(line | {"ok": False, "echo_ms": None, "reason": error.code}, "no answer", text)
        return False
    text = f"{destination.name}: {where} in {took_ms:.0f} ms"
    printer.outcome(line | {"ok": True, "echo_ms": round(took_ms, 1), "reason": None}, "answers", text)
    return True
