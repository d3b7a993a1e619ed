"""`sealgate viewer`: the viewer that the gateway serves."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway import config
from gateway.commands.common import options
from gateway.commands.common.printing import Printer
from gateway.web.viewer import bundle


@click.group("viewer")
def command() -> None:
    """OHIF, which the gateway serves at an address of its own ([viewer])."""


@command.command("fetch")
@click.option(
    "--archive",
    type=options.EXISTING,
    help=f"A file of `npm pack @ohif/app@{bundle.VERSION}`, for machines without internet.",
)
@options.config_file
@options.json_lines
def fetch(archive: Path | None, config_path: Path, as_json: bool) -> None:
    """Fetch OHIF from the npm registry, check its digest, and unpack what is needed.

    Another registry is taken from the environment, NPM_CONFIG_REGISTRY.
    """
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or bundle.REGISTRY
    folder = bundle.fetch(config.load(config_path).viewer_folder, archive, registry=registry)
    printer = Printer(as_json=as_json)
    if as_json:
        printer.line({"version": bundle.VERSION, "folder": str(folder)})
    printer.text(f"{folder}: OHIF {bundle.VERSION}")
