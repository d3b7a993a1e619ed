"""Spool and queue agree after every kind of crash, and a data folder has one user."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.errors import AlreadyRunning, ResourceError
from gateway.observe import logger
from gateway.queue import (
    Arrival,
    Prepared,
    State,
    Step,
    open_queue,
)
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.service import reconcile
from gateway.service.service import only_one
from gateway.spool import LocalSpool
from tests.support.spool import file_of


@pytest.fixture
def spool(tmp_path: Path) -> LocalSpool:
    return LocalSpool(tmp_path)


@pytest.fixture
def queue(tmp_path: Path) -> SqliteQueue:
    return SqliteQueue(tmp_path / "queue.sqlite")


def arrival(incoming: str) -> Arrival:
    return Arrival(
        pseudonym=incoming[:16],
        digest=incoming * 2,
        route_key="r",
        called="A",
        calling="B",
        action="seal",
        on_failure="quarantine",
        destinations=("pacs",),
        bytes=1,
        incoming=incoming,
    )


def test_a_file_whose_job_was_never_committed_was_never_acknowledged_and_goes(
    spool: LocalSpool, queue: SqliteQueue
) -> None:
    wanted, orphan = spool.put(b"wanted"), spool.put(b"orphan")
    queue.put(arrival(wanted))
    reconcile.at_start(queue, spool, logger())
    assert list(spool.names()) == [wanted]
    assert not file_of(spool, orphan).exists()


def test_a_sealed_file_that_was_not_written_down_goes_and_its_object_is_sealed_again(
    spool: LocalSpool, queue: SqliteQueue
) -> None:
    incoming = spool.put(b"original")
    queue.put(arrival(incoming))
    queue.claim("killed", step=Step.PREPARE, limit=1, lease_s=1e6)
    unfinished = spool.put(b"sealed")
    reconcile.at_start(queue, spool, logger())
    assert not file_of(spool, unfinished).exists()
    assert [job.incoming for job in queue.claim("next", step=Step.PREPARE, limit=1, lease_s=60)] == [incoming]


def test_a_sealed_file_is_kept_until_it_is_delivered_so_that_a_resend_is_identical(
    spool: LocalSpool, queue: SqliteQueue
) -> None:
    queue.put(arrival(spool.put(b"original")))
    (job,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    sealed = spool.put(b"sealed")
    queue.prepared("w", job, Prepared(outgoing=sealed, level="full", reason="sealed"))
    queue.claim("killed while sending", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
    reconcile.at_start(queue, spool, logger())
    (again,) = queue.claim("d", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
    assert spool.read(again.outgoing or "") == b"sealed"


def test_half_written_files_go_at_start(tmp_path: Path, spool: LocalSpool, queue: SqliteQueue) -> None:
    (tmp_path / "spool" / "tmp" / "half").write_bytes(b"ha")
    reconcile.at_start(queue, spool, logger())
    assert list((tmp_path / "spool" / "tmp").iterdir()) == []


def test_while_running_only_old_orphans_go(spool: LocalSpool, queue: SqliteQueue) -> None:
    old, young = spool.put(b"old"), spool.put(b"young")
    os.utime(file_of(spool, old), (0, 0))
    assert reconcile.remove_orphans(queue, spool) == 1
    assert list(spool.names()) == [young]


def test_without_its_queue_a_spool_is_left_alone(tmp_path: Path, spool: LocalSpool) -> None:
    spool.put(b"acknowledged")
    table = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
    config = Config.model_validate(
        {
            "gateway": {"data_dir": tmp_path},
            "destination": [table],
            "route": [{"called": "A", "action": "pass", "to": ["pacs"]}],
        }
    )
    with pytest.raises(ResourceError, match="is missing"):
        open_queue(config, holds_objects=any(spool.names()))
    assert len(list(spool.names())) == 1
    assert not (tmp_path / "queue.sqlite").exists()


def test_files_of_dropped_jobs_go(tmp_path: Path, spool: LocalSpool, queue: SqliteQueue) -> None:
    queue.put(arrival(spool.put(b"unwanted")))
    admin = SqliteQueueAdmin(tmp_path / "queue.sqlite")
    admin.drop([job.id for job in admin.list(state=State.READY)])
    reconcile.at_start(queue, spool, logger())
    assert list(spool.names()) == []


def test_a_data_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(AlreadyRunning), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def kept_objects(queue: SqliteQueue, spool: LocalSpool, count: int) -> list[str]:
    names = []
    for number in range(count):
        names.append(spool.put(bytes(1000) + str(number).encode()))
        queue.put(replace(arrival(names[-1]), action="pass"))
        jobs = queue.claim("d", step=Step.DELIVER, destination="pacs", limit=1, lease_s=60)
        assert queue.delivered("d", jobs, keep=True) == []
    return names


def test_of_what_is_kept_the_oldest_goes_first_when_it_is_too_much(
    spool: LocalSpool, queue: SqliteQueue
) -> None:
    names = kept_objects(queue, spool, 4)
    undelivered = spool.put(bytes(5000))
    queue.put(arrival(undelivered))
    assert reconcile.retain(queue, spool, keep_hours=1, keep_bytes=2500) == 2002
    assert set(spool.names()) == {*names[2:], undelivered}
    assert reconcile.retain(queue, spool, keep_hours=0, keep_bytes=2500) == 0
    assert set(spool.names()) == {undelivered}, "what is not delivered stays, whatever its age and size"


def test_below_the_watermark_nothing_is_kept_but_what_is_undelivered(
    tmp_path: Path, queue: SqliteQueue
) -> None:
    kept_objects(queue, LocalSpool(tmp_path), 3)
    undelivered = LocalSpool(tmp_path).put(b"not delivered")
    queue.put(arrival(undelivered))
    full = LocalSpool(tmp_path, free_bytes_min=1 << 62)
    assert reconcile.retain(queue, full, keep_hours=1, keep_bytes=1 << 30) == 0
    assert list(full.names()) == [undelivered]


def test_kept_files_are_no_orphans(spool: LocalSpool, queue: SqliteQueue) -> None:
    names = kept_objects(queue, spool, 2)
    reconcile.at_start(queue, spool, logger())
    assert set(spool.names()) == set(names)
