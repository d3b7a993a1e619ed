"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

json_lines = click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
config_file = click.option(
    "--config", "config_path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
    help="The gateway's configuration file (TOML).",
)  # fmt: skip


def jobs(command: Command) -> Command:
    """Add `--jobs`."""
    return click.option(
        "--jobs",
        type=click.IntRange(1, 4 * (os.cpu_count() or 1)),
        default=1,
        show_default=True,
        help="Processes that work on a folder's files.",
    )(command)


def recipient_key(*, required: bool) -> Callable[[Command], Command]:
    """Add `--recipient-key`."""
    return click.option(
        "--recipient-key",
        type=EXISTING,
        required=required,
        help="Private key that opens the hidden records.",
    )
