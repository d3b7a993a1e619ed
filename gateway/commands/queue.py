"""`sealgate queue`: what waits, why, and steering it; usable while the gateway runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import config
from gateway.commands import options
from gateway.commands.exits import Exit
from gateway.commands.printing import Printer
from gateway.errors import UsageError
from gateway.queue import Desk, Job, State, open_desk

Steering = Callable[[Desk, Sequence[int]], Sequence[int]]

# (title, width) of the columns that `queue list` shows
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


def selecting(steered: Callable[..., None]) -> Callable[..., None]:
    """Options that choose jobs: by number, or all in a state and of a destination."""
    for add in (
        click.argument("ids", type=int, nargs=-1, metavar="[ID]..."),
        click.option("--state", type=click.Choice([s.value for s in State]), help="All jobs in this state."),
        click.option("--destination", help="All jobs of this destination."),
        click.option("--instance", help="All jobs of the instance with this pseudonym."),
        options.config_file,
        options.json_lines,
    ):
        steered = add(steered)
    return steered


@command.command("list")
@click.option("--state", type=click.Choice([s.value for s in State]), help="Only jobs in this state.")
@click.option("--destination", help="Only jobs of this destination.")
@click.option("--instance", help="Only jobs of the instance with this pseudonym.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@options.config_file
@options.json_lines
def list_jobs(
    state: str | None,
    destination: str | None,
    instance: str | None,
    limit: int,
    config_path: Path,
    as_json: bool,
) -> None:
    """List jobs, oldest first; without --state all that are not done or dropped."""
    printer = Printer(as_json=as_json)
    with _desk(config_path) as desk:
        jobs = desk.list(
            state=State(state) if state else None, destination=destination, pseudonym=instance, limit=limit
        )
    if jobs:
        printer.text("".join(f"{title:<{width}} " for title, width in COLUMNS).rstrip())
    for job in jobs:
        _print(job, printer, as_json=as_json)
    printer.prose(f"{len(jobs)} jobs")


@command.command("show")
@click.argument("job_id", type=int, metavar="ID")
@options.config_file
@options.json_lines
def show(job_id: int, config_path: Path, as_json: bool) -> None:
    """Everything about one job."""
    printer = Printer(as_json=as_json)
    with _desk(config_path) as desk:
        job = desk.show(job_id)
    if job is None:
        raise UsageError(f"there is no job {job_id}", hint="See them with: sealgate queue list")
    if as_json:
        printer.line(_line(job))
        return
    for name, value in _line(job).items():
        printer.text(f"{name:<14} {'' if value is None else value}")


def _steering(name: str, steer: Steering, meaning: str) -> None:
    @command.command(name, help=meaning)
    @selecting
    def steered(
        ids: tuple[int, ...],
        state: str | None,
        destination: str | None,
        instance: str | None,
        config_path: Path,
        as_json: bool,
    ) -> None:
        if not (ids or state or destination or instance):
            raise UsageError(
                "no jobs were named", hint="Give job numbers, or --state, --destination, --instance."
            )
        printer = Printer(as_json=as_json)
        with _desk(config_path) as desk:
            chosen: Sequence[int] = ids
            if not ids:
                wanted = State(state) if state else None
                listed = desk.list(
                    state=wanted, destination=destination, pseudonym=instance, limit=sys.maxsize
                )
                chosen = [job.id for job in listed]
            changed = steer(desk, chosen)
            for job_id in changed:
                job = desk.show(job_id)
                if job is not None:
                    _print(job, printer, as_json=as_json)
        printer.prose(f"{name}: {len(changed)} of {len(chosen)} jobs")
        sys.exit(Exit.OK if len(changed) == len(chosen) else Exit.FINDINGS)


_steering(
    "retry", lambda desk, ids: desk.retry(ids), "Try again now, with fresh attempts: parked and waiting jobs."
)
_steering("hold", lambda desk, ids: desk.hold(ids), "Keep jobs back until they are released.")
_steering("release", lambda desk, ids: desk.release(ids), "Let held jobs go on.")
_steering("drop", lambda desk, ids: desk.drop(ids), "Give jobs up for good; their instance is not delivered.")


@contextmanager
def _desk(config_path: Path) -> Iterator[Desk]:
    desk = open_desk(config.load(config_path))
    try:
        yield desk
    finally:
        desk.close()


def _line(job: Job) -> dict[str, Any]:
    line = {"instance": job.pseudonym} | asdict(job)
    del line["pseudonym"]
    return line | {"not_before": _time(job.not_before), "received_at": _time(job.received_at)}


def _print(job: Job, printer: Printer, *, as_json: bool) -> None:
    if as_json:
        printer.line(_line(job))
        return
    reason = job.reason or ""
    values = (
        job.id, job.state.value, job.step.value, job.destination or "-", job.attempts, _time(job.not_before),
        job.pseudonym, f"{reason} ({job.hint})" if job.hint else reason,
    )  # fmt: skip
    cells = (f"{value!s:<{width}}" for value, (_, width) in zip(values, COLUMNS, strict=True))
    printer.text(" ".join(cells).rstrip())


def _time(seconds: float) -> str:
    """UTC, or "-" for a time that was never set."""
    if seconds <= 0:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
