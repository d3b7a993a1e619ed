"""`sealgate serve`: the gateway, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway import config
from gateway.commands.common import options
from gateway.service import service


@click.command("serve")
@options.config_file
@click.option(
    "--bypass", is_flag=True, help="Forward everything untouched: nothing is sealed, verified or restored."
)
def command(config_path: Path, bypass: bool) -> None:
    """Run the gateway in the foreground. SIGTERM drains and stops, SIGHUP reloads the configuration."""
    sys.exit(service.run(config.load(config_path), bypass=bypass))
