"""`sealgate queue`: people see what waits and steer it, by number or by a whole selection."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import config, keys
from gateway.commands.queue import command
from gateway.errors import UsageError
from gateway.observe.pseudonyms import Pseudonyms
from gateway.queue import Arrival, open_queue
from tests.support.data import REPOSITORY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration whose queue holds two instances: the first for two destinations, the second for one."""
    keys.generate(tmp_path / "keys")
    path = tmp_path / "sealgate.toml"
    path.write_text((REPOSITORY / "deploy" / "sealgate.toml").read_text())
    queue = open_queue(config.load(path), holds_objects=False)
    for number, destinations in enumerate((("pacs", "workstation"), ("pacs",))):
        queue.put(
            Arrival(
                pseudonym=f"{number:016x}",
                digest=f"{number:064x}",
                route_key="SEALGATE/seal/pacs",
                called="SEALGATE",
                calling="MODALITY",
                action="seal",
                on_failure="quarantine",
                destinations=destinations,
                bytes=1000,
                incoming=f"{number:032x}",
            )
        )
    queue.close()
    return path


def queue(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--config", str(path)])


def jobs(path: Path, *arguments: str) -> list[dict[str, Any]]:
    done = queue(path, *arguments, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list_shows_all_that_waits_and_can_select(path: Path) -> None:
    assert [(job["step"], job["destination"], job["state"]) for job in jobs(path, "list")] == [
        ("prepare", "", "ready"),
        ("deliver", "pacs", "waiting"),
        ("deliver", "workstation", "waiting"),
        ("prepare", "", "ready"),
        ("deliver", "pacs", "waiting"),
    ]
    assert len(jobs(path, "list", "--destination", "pacs")) == 2
    assert len(jobs(path, "list", "--instance", "0" * 16)) == 3
    assert len(jobs(path, "list", "--state", "parked")) == 0


def test_list_is_readable_without_json(path: Path) -> None:
    shown = queue(path, "list").stdout.splitlines()
    assert shown[0].split() == ["id", "state", "step", "destination", "tries", "next", "instance", "reason"]
    assert shown[1].split()[:3] == ["1", "ready", "prepare"]


def test_hold_and_release_a_whole_destination(path: Path) -> None:
    held = queue(path, "hold", "--destination", "pacs")
    assert held.exit_code == 0
    assert [job["state"] for job in jobs(path, "list", "--destination", "pacs")] == ["held", "held"]
    assert queue(path, "release", "--state", "held").exit_code == 0
    assert not jobs(path, "list", "--state", "held")


def test_drop_gives_a_job_up_and_it_is_no_longer_listed(path: Path) -> None:
    assert queue(path, "drop", "3").exit_code == 0
    assert 3 not in [job["id"] for job in jobs(path, "list")]


def test_what_can_not_be_steered_is_told_with_exit_code_3(path: Path) -> None:
    done = queue(path, "release", "1", "999")
    assert done.exit_code == 3
    assert "0 of 2" in done.stderr


def test_show_tells_everything_about_a_job_and_nothing_of_a_patient(path: Path) -> None:
    (job,) = jobs(path, "show", "1")
    assert job["instance"] == "0" * 16 and job["calling"] == "MODALITY"
    assert "received_at" in queue(path, "show", "1").stdout


def test_a_study_is_chosen_by_its_uid_and_a_day_by_its_date(path: Path) -> None:
    configured = config.load(path)
    study = Pseudonyms.load(configured.gateway.data_dir).of("1.2.3")
    queue_file = open_queue(configured, holds_objects=False)
    queue_file.put(
        Arrival(
            pseudonym="f" * 16,
            study=study,
            digest="f" * 64,
            route_key="SEALGATE/pass/pacs",
            called="SEALGATE",
            calling="MODALITY",
            action="pass",
            on_failure="quarantine",
            destinations=("pacs",),
            bytes=1000,
            incoming="f" * 32,
        )
    )
    queue_file.close()
    assert [job["instance"] for job in jobs(path, "list", "--study", "1.2.3")] == ["f" * 16]
    assert jobs(path, "list", "--study", "1.2") == []
    today, day = datetime.now(), timedelta(days=1)
    assert (
        len(jobs(path, "list", "--since", f"{today - day:%Y-%m-%d}", "--until", f"{today + day:%Y-%m-%d}"))
        == 6
    )
    assert jobs(path, "list", "--since", f"{today + day:%Y-%m-%d}") == []
    assert len(jobs(path, "list", "--until", f"{today + timedelta(minutes=5):%Y-%m-%dT%H:%M}")) == 6
    assert queue(path, "hold", "--study", "1.2.3").exit_code == 0
    assert [job["state"] for job in jobs(path, "list", "--study", "1.2.3")] == ["held"]
    assert queue(path, "release", "--study", "1.2.3", "--state", "held").exit_code == 0


def test_a_date_that_is_none_and_a_mixed_choice_are_refused(path: Path) -> None:
    assert queue(path, "retry", "--since", "yesterday").exit_code == 2
    assert isinstance(queue(path, "retry").exception, UsageError)
    assert isinstance(queue(path, "retry", "1", "--state", "parked").exception, UsageError)
