"""`sealgate quarantine`: objects that a person should look at; usable while the gateway runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands.common import options
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.config import Config
from gateway.dicom.lazy_bytes import pieces
from gateway.errors import ResourceError, UsageError
from gateway.queue import QueueAdmin, State, open_admin
from gateway.queue.as_json import time_as_text
from gateway.runtime import durable
from gateway.spool.quarantine import Entry, Quarantine
from gateway.work.keyring import spool_key

# Digits of an id that a list shows. Any unique beginning of an id names an object.
ID_SHOWN = 12


@click.group("quarantine")
def command() -> None:
    """See, save and release objects that could not be sealed, verified, restored or read.

    Nothing is removed from quarantine but by you. An object is named by its id or a beginning of it.
    """


@command.command("list")
@options.config_file
@options.json_lines
def list_objects(config_path: Path, as_json: bool) -> None:
    """List them, oldest first."""
    printer = Printer(as_json=as_json)
    entries = Quarantine(config.load(config_path).gateway.data_dir).entries()
    for entry in entries:
        note = entry.note
        if as_json:
            printer.line(_line(entry))
            continue
        job = "refused" if note.job is None else f"job {note.job}"
        printer.text(
            f"{entry.id[:ID_SHOWN]}  {time_as_text(note.at)}  {note.calling:<16} -> {note.called:<16} "
            f"{note.bytes:>11}  {job:<10}  {note.reason}"
        )
    printer.prose(f"{len(entries)} objects, {sum(entry.note.bytes for entry in entries)} bytes")


@command.command("show")
@click.argument("name", metavar="ID")
@options.config_file
@options.json_lines
def show(name: str, config_path: Path, as_json: bool) -> None:
    """Show everything about one object."""
    printer = Printer(as_json=as_json)
    entry = Quarantine(config.load(config_path).gateway.data_dir).find(name)
    if as_json:
        printer.line(_line(entry))
        return
    for name, value in _line(entry).items():
        printer.text(f"{name:<10} {'' if value is None else value}")


@command.command("export")
@click.argument("name", metavar="ID")
@click.argument("file", type=options.ANY_PATH)
@options.config_file
def export(name: str, file: Path, config_path: Path) -> None:
    """Write an object as it was received to a new FILE (mode 0600). It may name a patient."""
    settings = config.load(config_path)
    quarantine = Quarantine(settings.gateway.data_dir, key=spool_key(settings))
    try:
        with quarantine.open(quarantine.find(name)) as data:
            durable.create(file, pieces(data), mode=0o600)
    except FileExistsError as error:
        raise UsageError(f"{file} exists", hint="Give the name of a new file.") from error
    except OSError as error:
        raise ResourceError(f"{file}: {error.strerror}") from error
    Printer(as_json=False).prose(f"{len(data)} bytes")


@command.command("release")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--as-received", is_flag=True, help="Send it on untouched: neither sealed nor verified.")
@options.config_file
def release(ids: tuple[str, ...], as_received: bool, config_path: Path) -> None:
    """Let objects go on: try again what failed, or send them on as they were received.

    They leave the quarantine; what fails again comes back. Exit code 3 if one of them could not be released.
    """
    printer, released = Printer(as_json=False), 0
    with _opened(config_path) as (quarantine, admin):
        for entry in [quarantine.find(name) for name in ids]:
            job = None if entry.note.job is None else admin.show(entry.note.job)
            if job is None or job.incoming != entry.id or job.state is not State.PARKED:
                why = "its sender was told to keep it" if job is None else f"its job is {job.state}"
                printer.prose(f"{entry.id[:ID_SHOWN]}: not released, {why}; export it, or drop it")
                continue
            if as_received and job.action == "release":
                why = "it was on its way out of the house, and may still carry its patient"
                printer.prose(f"{entry.id[:ID_SHOWN]}: not released, {why}; export it, or drop it")
                continue
            changed = admin.pass_on([job.id]) if as_received else admin.retry([job.id])
            if changed:
                quarantine.remove(entry)
                released += 1
    printer.prose(f"released: {released} of {len(ids)}")
    sys.exit(Exit.OK if released == len(ids) else Exit.FINDINGS)


@command.command("drop")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@options.config_file
def drop(ids: tuple[str, ...], config_path: Path) -> None:
    """Remove objects for good. One that is still parked is given up and will not be delivered."""
    with _opened(config_path) as (quarantine, admin):
        for entry in [quarantine.find(name) for name in ids]:
            job = None if entry.note.job is None else admin.show(entry.note.job)
            if job is not None and job.incoming == entry.id and job.state is State.PARKED:
                admin.drop([job.id])
            quarantine.remove(entry)
    Printer(as_json=False).prose(f"dropped: {len(ids)}")


@contextmanager
def _opened(config_path: Path) -> Iterator[tuple[Quarantine, QueueAdmin]]:
    settings: Config = config.load(config_path)
    admin = open_admin(settings)
    try:
        yield Quarantine(settings.gateway.data_dir), admin
    finally:
        admin.close()


def _line(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id} | asdict(entry.note) | {"at": time_as_text(entry.note.at)}
