"""`sealgate queue`: what waits, why, and steering it; usable while the gateway runs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands.common import options
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.config import Config
from gateway.errors import UsageError
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import (
    Job,
    Notes,
    QueueAdmin,
    State,
    open_admin,
)
from gateway.queue.as_json import job_as_json, time_as_text
from gateway.queue.model import NEXT

Steering = Callable[[QueueAdmin, Sequence[int]], Sequence[int]]

# Title and width of the columns that `queue list` shows.
COLUMNS = (
    ("id", 7), ("state", 8), ("step", 8), ("destination", 14), ("tries", 5), ("next", 20), ("instance", 17),
    ("reason", 0),
)  # fmt: skip


@click.group("queue")
def command() -> None:
    """See and steer what waits.

    A job is one step for one instance: prepare (seal, verify, restore) or deliver. Parked jobs wait for a
    person: they were refused for good, or their attempts are used up. Instances are named by a pseudonym,
    as in the log, never by patient or study.
    """


def _moment(_context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The Unix seconds of a local date or time. A date that is given as --until includes its whole day."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter("write 2026-03-01 or 2026-03-01T14:30 (local time)") from error
    if parameter.name == "until" and len(value) == len("2026-03-01"):
        moment += timedelta(days=1)
    return moment.timestamp()


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose jobs. They reach the command as keyword arguments of `_selected`."""
    for add in (
        click.option("--state", type=click.Choice([s.value for s in State]), help="Jobs in this state."),
        click.option("--destination", help="Jobs of this destination."),
        click.option("--instance", help="Jobs of the instance with this pseudonym."),
        click.option("--study", metavar="UID", help="Jobs of the study with this Study Instance UID."),
        click.option("--since", metavar="DATE", callback=_moment, help="Received from this date or time on."),
        click.option("--until", metavar="DATE", callback=_moment, help="Received up to this date or time."),
        options.config_file,
        options.json_lines,
    ):
        command = add(command)
    return command


def _selected(
    admin: QueueAdmin,
    configured: Config,
    *,
    state: str | None,
    destination: str | None,
    instance: str | None,
    study: str | None,
    since: float | None,
    until: float | None,
    limit: int,
) -> Sequence[Job]:
    return admin.list(
        state=State(state) if state else None,
        destination=destination,
        pseudonym=instance,
        study=Pseudonyms.existing(configured.gateway.data_dir).of(study) if study else None,
        since=since,
        until=until,
        limit=limit,
    )


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@selecting
def list_jobs(config_path: Path, as_json: bool, limit: int, **selection: Any) -> None:
    """List jobs, oldest first; without --state all that are not done or dropped."""
    printer = Printer(as_json=as_json)
    with _opened(config_path) as admin:
        jobs = _selected(admin, config.load(config_path), **selection, limit=limit)
        notes = admin.notes()
    if jobs:
        printer.text("".join(f"{title:<{width}} " for title, width in COLUMNS).rstrip())
    for job in jobs:
        _print(job, printer, as_json=as_json)
    printer.prose(f"{len(jobs)} jobs")
    for note in notes:
        if note.paused_at is not None:
            printer.prose(f"{note.name} is paused since {time_as_text(note.paused_at)}")


@command.command("show")
@click.argument("job_id", type=int, metavar="ID")
@options.config_file
@options.json_lines
def show(job_id: int, config_path: Path, as_json: bool) -> None:
    """Everything about one job."""
    printer = Printer(as_json=as_json)
    with _opened(config_path) as admin:
        job = admin.show(job_id)
    if job is None:
        raise UsageError(f"there is no job {job_id}", hint="See them with: sealgate queue list")
    if as_json:
        printer.line(job_as_json(job))
        return
    for name, value in job_as_json(job).items():
        printer.text(f"{name:<14} {'' if value is None else value}")


@command.command("destinations")
@options.config_file
@options.json_lines
def destinations(config_path: Path, as_json: bool) -> None:
    """Each destination: what waits for it, since when it is paused or can't be reached."""
    printer = Printer(as_json=as_json)
    configured = config.load(config_path)
    with _opened(config_path) as admin:
        notes = {note.name: note for note in admin.notes()}
        counts = Counter({(depth.destination, depth.state): depth.jobs for depth in admin.depth()})
    for name in (destination.name for destination in configured.destination):
        note = notes.get(name, Notes(name=name, paused_at=None, down_since=None))
        paused, down = time_as_text(note.paused_at or 0), time_as_text(note.down_since or 0)
        if as_json:
            jobs = {state.value: counts[name, state] for state in State if counts[name, state]}
            line = {
                "paused_at": None if paused == "-" else paused,
                "down_since": None if down == "-" else down,
            }
            printer.line({"destination": name, **line, "jobs": jobs})
            continue
        troubles = [f"paused since {paused}"] * (paused != "-") + [f"unreachable since {down}"] * (
            down != "-"
        )
        jobs_text = ", ".join(
            f"{counts[name, state]} {state.value}" for state in State if counts[name, state]
        )
        printer.text(f"{name:<14} {'; '.join(troubles) or 'works'}; {jobs_text or 'nothing waits'}")


def _pausing(name: str, change: Callable[[QueueAdmin, str], bool], state: str, meaning: str) -> None:
    """Add the command `name`, which changes whether a destination is paused. state: what it says afterwards."""

    @command.command(name, help=meaning)
    @click.argument("destination")
    @options.config_file
    def changed(destination: str, config_path: Path) -> None:
        configured = config.load(config_path)
        if configured.destination_named(destination) is None:
            names = ", ".join(known.name for known in configured.destination)
            raise UsageError(f"there is no destination {destination!r}", hint=f"There are: {names}")
        with _opened(config_path) as admin:
            is_changed = change(admin, destination)
        Printer(as_json=False).prose(f"{destination} is {state}" + ("" if is_changed else " already"))


_pausing(
    "pause",
    lambda admin, destination: admin.pause(destination),
    "paused",
    "Send nothing more to a destination until it is resumed; what arrives for it waits.",
)
_pausing("resume", lambda admin, destination: admin.resume(destination), "resumed", "Send to it again.")


def _steering(name: str, steer: Steering, meaning: str) -> None:
    """Add the command `name`. It leaves alone the chosen jobs whose state it is not for."""
    states = {state for state, event in NEXT if event == name} | ({State.READY} if name == "retry" else set())

    @command.command(name, help=meaning)
    @click.argument("ids", type=int, nargs=-1, metavar="[ID]...")
    @selecting
    def steered(ids: tuple[int, ...], config_path: Path, as_json: bool, **selection: Any) -> None:
        if bool(ids) == any(value is not None for value in selection.values()):
            raise UsageError(
                "name jobs either by number or by what they have in common",
                hint="Give job numbers, or --state, --destination, --study, --since, --until, --instance.",
            )
        printer = Printer(as_json=as_json)
        with _opened(config_path) as admin:
            chosen: Sequence[int] = ids
            if not ids:
                if State.DONE in states and selection["state"] is None:
                    selection["state"] = State.DONE.value
                listed = _selected(admin, config.load(config_path), **selection, limit=sys.maxsize)
                chosen = [job.id for job in listed if job.state in states]
            changed = steer(admin, chosen)
            for job_id in changed:
                job = admin.show(job_id)
                if job is not None:
                    _print(job, printer, as_json=as_json)
        printer.prose(f"{name}: {len(changed)} of {len(chosen)} jobs")
        sys.exit(Exit.OK if len(changed) == len(chosen) else Exit.FINDINGS)


_steering(
    "retry",
    lambda admin, ids: admin.retry(ids),
    "Try again now, with fresh attempts: parked and waiting jobs.",
)
_steering(
    "resend",
    lambda admin, ids: admin.resend(ids),
    "Deliver again what was delivered, as long as its files are kept (queue.keep_hours).",
)
_steering("hold", lambda admin, ids: admin.hold(ids), "Keep jobs back until they are released.")
_steering("release", lambda admin, ids: admin.release(ids), "Let held jobs go on.")
_steering(
    "drop", lambda admin, ids: admin.drop(ids), "Give jobs up for good; their instance is not delivered."
)


@contextmanager
def _opened(config_path: Path) -> Iterator[QueueAdmin]:
    admin = open_admin(config.load(config_path))
    try:
        yield admin
    finally:
        admin.close()


def _print(job: Job, printer: Printer, *, as_json: bool) -> None:
    if as_json:
        printer.line(job_as_json(job))
        return
    reason = job.reason or (f"instead of {job.instead_of}" if job.instead_of else "")
    values = (
        job.id, job.state.value, job.step.value, job.destination or "-", job.attempts, time_as_text(job.not_before),
        job.pseudonym, f"{reason} ({job.hint})" if job.hint else reason,
    )  # fmt: skip
    cells = (f"{value!s:<{width}}" for value, (_, width) in zip(values, COLUMNS, strict=True))
    printer.text(" ".join(cells).rstrip())
