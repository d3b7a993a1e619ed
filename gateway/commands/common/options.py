"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.config import Limits

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


def limits(command: Command) -> Command:
    """Add `--memory` and `--timeout`: what one file may take. A worker of the gateway has the same limits."""
    defaults = Limits()
    command = click.option(
        "--timeout",
        type=click.FloatRange(0.01),
        default=defaults.seal_timeout_s,
        show_default=True,
        envvar="SEALGATE_LIMITS__SEAL_TIMEOUT_S",
        help="Seconds that one file may take.",
    )(command)
    return click.option(
        "--memory",
        type=click.IntRange(512 << 20),
        default=defaults.worker_memory_bytes,
        show_default=True,
        envvar="SEALGATE_LIMITS__WORKER_MEMORY_BYTES",
        help="Bytes of memory that a process may take; a file that needs more is refused.",
    )(command)


def signers(command: Command) -> Command:
    """Add `--signers`."""
    return click.option(
        "--signers", type=EXISTING, help="Public key, or folder of them, whose seals are believed."
    )(command)


def recipient_key(*, required: bool) -> Callable[[Command], Command]:
    """Add `--recipient-key`."""
    return click.option(
        "--recipient-key",
        type=EXISTING,
        required=required,
        help="Private key that opens the hidden records.",
    )
