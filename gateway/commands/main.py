"""`sealgate`, the command line. Each command is a module of `gateway.commands`, loaded only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
import warnings

import click

from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import printable
from gateway.errors import GatewayError, UsageError

# Each is a module below gateway.commands that holds its click command as `command`.
COMMANDS = (
    "keygen", "keys", "token", "password", "wrap", "seal", "verify", "extract", "restore", "release", "amend", "serve",
    "check", "queue",
    "quarantine", "ledger", "viewer", "backup", "demo",
)  # fmt: skip


class LazyGroup(click.Group):
    """Imports the module of a command when the command is called: `sealgate --help` should not load networks."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"gateway.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


def _version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from gateway.commands.common.about import about

    click.echo(about())
    context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version, the codec ids and the execution provider, and exit.",
)
def sealgate() -> None:
    """Seal DICOM images on their way to the PACS, and prove on the way back that nobody changed them."""


def main() -> None:
    """Run the command line and exit: 0 all good, 1 failed, 2 wrong usage or configuration, 3 findings."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    _silence_warnings()
    try:
        sealgate.main(prog_name="sealgate", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(Exit.INTERRUPTED)
    except click.ClickException as error:
        # It quotes what was typed.
        error.message = printable(error.message)  # type: ignore[misc]  # only click is not to change it
        error.show()
        sys.exit(Exit.USAGE)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader left, as `| head` does. Point stdout elsewhere, so that the last flush raises nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except GatewayError as error:
        _complain(error)
        sys.exit(Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED)


def _silence_warnings() -> None:
    """Warnings of libraries quote header values, which could identify a patient. Worker processes inherit this."""
    warnings.simplefilter("ignore", UserWarning)
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning")


def _complain(error: GatewayError) -> None:
    first, *details = error.lines
    print(f"sealgate: {printable(first)}", file=sys.stderr)
    for line in details:
        print(f"  {printable(line)}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {printable(error.hint)}", file=sys.stderr)


if __name__ == "__main__":
    main()
