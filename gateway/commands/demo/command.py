"""`sealgate demo`: everything on one machine."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from gateway.commands.common import options
from gateway.commands.common.exits import Exit
from gateway.commands.demo.story import Demo


@click.command("demo")
@click.option(
    "--keep/--no-keep",
    default=None,
    help="Stay up until Ctrl-C, to look around. Without either: on a terminal.",
)
@click.option(
    "--study",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of DICOM files to send.",
)
@click.option(
    "--work",
    type=options.ANY_PATH,
    default=Path(".work/demo"),
    show_default=True,
    help="Working folder; emptied at the start.",
)
def command(keep: bool | None, study: Path | None, work: Path) -> None:
    """Start a PACS and the gateway on this machine, send a study through, and show what can be proven.

    Needs Orthanc and DCMTK. Exit code 3 if anything is not as it should be.
    """
    # Otherwise the PACS would go on running without us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.INTERRUPTED))
    if keep is None:
        keep = sys.stdin.isatty() and sys.stdout.isatty()
    sys.exit(Demo(work=work, study=study, keep=keep).run())
