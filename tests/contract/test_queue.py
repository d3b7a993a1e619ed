"""What every backend of the queue must do. A new backend passes these before it gets tests of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ChangedInstance, ResourceError, UsageError
from gateway.queue import (
    Arrival,
    Job,
    Prepared,
    Priority,
    Put,
    Queue,
    QueueAdmin,
    State,
    Step,
    is_file_of_queue,
    open_to_copy,
)
from gateway.queue.model import NEXT
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.database import FILE_NAME, VERSION
from gateway.queue.sqlite.queue import SqliteQueue


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


OPEN = {"sqlite": (SqliteQueue, SqliteQueueAdmin)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=sorted(OPEN))
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[tuple[Queue, QueueAdmin]]:
    open_queue, open_admin = OPEN[request.param]
    queue, admin = open_queue(tmp_path / "queue", clock=clock), open_admin(tmp_path / "queue", clock=clock)
    yield queue, admin
    admin.close()
    queue.close()


@pytest.fixture
def queue(opened: tuple[Queue, QueueAdmin]) -> Queue:
    return opened[0]


@pytest.fixture
def admin(opened: tuple[Queue, QueueAdmin]) -> QueueAdmin:
    return opened[1]


def arrival(
    number: int = 1, *, version: int = 1, to: tuple[str, ...] = ("pacs",), action: str = "seal"
) -> Arrival:
    return Arrival(
        pseudonym=f"{number:016x}",
        digest=f"{number:032x}{version:032x}",
        route_key="SEALGATE/seal/pacs",
        called="SEALGATE",
        calling="MODALITY",
        action=action,
        on_failure="quarantine",
        destinations=to,
        bytes=1000,
        incoming=f"in-{number}-{version}",
    )


def prepare_one(queue: Queue, worker: str = "w") -> Job:
    (job,) = queue.claim(worker, step=Step.PREPARE, limit=1, lease_s=60)
    outgoing = job.incoming.replace("in", "out")
    assert queue.prepared(worker, job, Prepared(outgoing=outgoing, level="full", reason="sealed"))
    return job


def claim_deliveries(
    queue: Queue, worker: str = "d", destination: str = "pacs", limit: int = 10
) -> list[Job]:
    return queue.claim(worker, step=Step.DELIVER, destination=destination, limit=limit, lease_s=60)


def test_an_arrival_is_prepared_then_delivered_then_its_files_are_named_for_removal(queue: Queue) -> None:
    assert queue.put(arrival())
    assert claim_deliveries(queue) == []
    prepare_one(queue)
    (job,) = claim_deliveries(queue)
    assert (job.outgoing, job.level, job.outcome) == ("out-1-1", "full", "sealed")
    assert queue.files() == {"in-1-1", "out-1-1"}
    assert sorted(queue.delivered("d", [job])) == ["in-1-1", "out-1-1"]
    assert queue.files() == set()
    assert queue.depth() == []


def test_a_pass_route_is_delivered_without_being_prepared(queue: Queue) -> None:
    queue.put(arrival(action="pass"))
    assert queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60) == []
    assert len(claim_deliveries(queue)) == 1


def test_the_same_bytes_again_are_known_and_make_no_job(queue: Queue) -> None:
    known = {key: getattr(arrival(), key) for key in ("pseudonym", "route_key", "digest")}
    assert not queue.known(**known)
    assert queue.put(arrival())
    assert queue.known(**known)
    assert not queue.put(arrival())
    assert len(queue.claim("w", step=Step.PREPARE, limit=10, lease_s=60)) == 1


def test_delivered_bytes_stay_known_until_they_are_forgotten(queue: Queue, clock: Clock) -> None:
    queue.put(arrival(action="pass"))
    queue.delivered("d", claim_deliveries(queue))
    known = {key: getattr(arrival(), key) for key in ("pseudonym", "route_key", "digest")}
    assert queue.known(**known)
    clock.now += 100
    assert queue.forget(finished_before=clock.now) == 1
    assert not queue.known(**known)


def test_files_are_kept_until_the_last_destination_has_the_object(queue: Queue) -> None:
    queue.put(arrival(to=("pacs", "archive")))
    prepare_one(queue)
    assert queue.delivered("d", claim_deliveries(queue, destination="pacs")) == []
    assert len(queue.delivered("d", claim_deliveries(queue, destination="archive"))) == 2


def test_a_lease_has_one_holder(queue: Queue) -> None:
    for number in range(10):
        queue.put(arrival(number))
    first = queue.claim("a", step=Step.PREPARE, limit=6, lease_s=60)
    second = queue.claim("b", step=Step.PREPARE, limit=6, lease_s=60)
    assert [job.pseudonym for job in first + second] == [f"{number:016x}" for number in range(10)]


def test_a_job_of_a_dead_worker_is_claimed_again_after_its_lease(queue: Queue, clock: Clock) -> None:
    queue.put(arrival())
    (lost,) = queue.claim("dead", step=Step.PREPARE, limit=1, lease_s=60)
    clock.now += 59
    assert queue.expire() == 0
    clock.now += 2
    assert queue.expire() == 1
    (again,) = queue.claim("alive", step=Step.PREPARE, limit=1, lease_s=60)
    assert (again.id, again.deaths) == (lost.id, 1)


def test_a_worker_that_lost_its_lease_can_change_nothing(queue: Queue, clock: Clock) -> None:
    queue.put(arrival())
    (lost,) = queue.claim("slow", step=Step.PREPARE, limit=1, lease_s=60)
    clock.now += 61
    queue.expire()
    queue.claim("quick", step=Step.PREPARE, limit=1, lease_s=60)
    assert not queue.prepared("slow", lost, Prepared(outgoing="late", level="full", reason="sealed"))
    queue.park("slow", lost, reason="late", hint="")
    queue.retry("slow", lost, delay_s=0, reason="late", hint="")
    assert queue.claim("third", step=Step.PREPARE, limit=1, lease_s=60) == []
    assert queue.files() == {"in-1-1"}


def test_an_extended_lease_lasts(queue: Queue, clock: Clock) -> None:
    queue.put(arrival())
    jobs = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    clock.now += 50
    queue.extend("w", [job.id for job in jobs], lease_s=60)
    clock.now += 50
    assert queue.expire() == 0


def test_a_retry_waits_for_its_time_and_counts(queue: Queue, clock: Clock) -> None:
    queue.put(arrival(action="pass"))
    (job,) = claim_deliveries(queue)
    queue.retry("d", job, delay_s=30, reason="peer-failed", hint="look")
    assert claim_deliveries(queue) == []
    clock.now += 31
    (again,) = claim_deliveries(queue)
    assert (again.attempts, again.deaths, again.reason, again.hint) == (1, 0, "peer-failed", "look")


def test_what_is_given_back_or_not_counted_has_used_no_attempt(queue: Queue) -> None:
    queue.put(arrival(action="pass"))
    queue.give_back("d", claim_deliveries(queue))
    (job,) = claim_deliveries(queue)
    queue.retry("d", job, delay_s=0, reason="peer-unreachable", hint="", counted=False)
    (job,) = claim_deliveries(queue)
    assert job.attempts == 0


def test_giving_back_keeps_the_failure_that_was_noted(queue: Queue) -> None:
    queue.put(arrival(action="pass"))
    (job,) = claim_deliveries(queue)
    queue.retry("d", job, delay_s=0, reason="peer-failed", hint="look")
    queue.give_back("d", claim_deliveries(queue))
    (job,) = claim_deliveries(queue)
    assert (job.attempts, job.reason) == (1, "peer-failed")


def test_a_parked_job_waits_for_a_person_or_for_its_sender_to_try_again(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(action="pass"))
    (job,) = claim_deliveries(queue)
    queue.park("d", job, reason="refused-by-peer", hint="ask them")
    assert claim_deliveries(queue) == []
    assert admin.retry([job.id]) == [job.id]
    (job,) = claim_deliveries(queue)
    queue.park("d", job, reason="refused-by-peer", hint="ask them")
    assert queue.known(pseudonym=job.pseudonym, route_key="SEALGATE/seal/pacs", digest=arrival().digest)
    assert len(claim_deliveries(queue)) == 1


def test_a_newer_version_is_delivered_after_the_older_one(queue: Queue) -> None:
    queue.put(arrival(version=1, action="pass"))
    queue.put(arrival(version=2, action="pass"))
    (older,) = claim_deliveries(queue, "first")
    assert older.incoming == "in-1-1"
    assert claim_deliveries(queue, "second") == []
    queue.delivered("first", [older])
    (newer,) = claim_deliveries(queue, "second")
    assert newer.incoming == "in-1-2"


def test_a_newer_version_does_not_wait_for_one_whose_preparation_is_parked(queue: Queue) -> None:
    queue.put(arrival(version=1))
    (damaged,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    queue.park("w", damaged, reason="unreadable", hint="")
    queue.put(arrival(version=2))
    prepare_one(queue)
    (delivery,) = queue.claim("f", step=Step.DELIVER, destination="pacs", limit=10, lease_s=60)
    assert delivery.incoming == "in-1-2"


def parked_older_and_delivered_newer(queue: Queue) -> Job:
    queue.put(arrival(version=1, action="pass", to=("pacs", "archive")))
    (older,) = claim_deliveries(queue)
    queue.park("d", older, reason="refused-by-peer", hint="")
    queue.put(arrival(version=2, action="pass"))
    queue.delivered("d", claim_deliveries(queue))
    return older


def test_an_older_version_is_not_delivered_after_a_newer_one_when_people_retry_it(
    queue: Queue, admin: QueueAdmin
) -> None:
    older = parked_older_and_delivered_newer(queue)
    assert admin.retry([older.id]) == []
    shown = admin.show(older.id)
    assert shown is not None
    assert (shown.state, shown.reason) == (State.DROPPED, "superseded")
    assert claim_deliveries(queue) == []
    assert len(claim_deliveries(queue, destination="archive")) == 1, "no newer version is there"


def test_an_older_version_is_not_delivered_after_a_newer_one_when_it_is_released_or_sent_again(
    queue: Queue, admin: QueueAdmin
) -> None:
    older = parked_older_and_delivered_newer(queue)
    admin.hold([older.id])
    assert admin.release([older.id]) == []
    queue.put(arrival(5, version=1, action="pass"))
    (again,) = claim_deliveries(queue)
    queue.park("d", again, reason="refused-by-peer", hint="")
    queue.put(arrival(5, version=2, action="pass"))
    queue.delivered("d", claim_deliveries(queue))
    assert queue.known(
        pseudonym=again.pseudonym, route_key="SEALGATE/seal/pacs", digest=arrival(5, version=1).digest
    )
    assert claim_deliveries(queue) == []


def test_an_older_version_prepared_late_is_not_delivered_after_a_newer_one(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(version=1))
    (damaged,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    queue.park("w", damaged, reason="worker-died", hint="")
    queue.put(arrival(version=2))
    prepare_one(queue)
    queue.delivered("d", claim_deliveries(queue))
    assert admin.retry([damaged.id]) == [damaged.id]
    prepare_one(queue)
    assert claim_deliveries(queue) == []
    assert queue.files() == set()


@pytest.mark.parametrize("reason", ["file-missing", "spool-corrupt"])
def test_a_repeated_arrival_mends_an_instance_whose_file_was_lost(queue: Queue, reason: str) -> None:
    queue.put(arrival(to=("pacs", "archive")))
    prepare_one(queue)
    queue.delivered("d", claim_deliveries(queue, destination="archive"))
    (job,) = claim_deliveries(queue)
    queue.park("d", job, reason=reason, hint="")
    assert not queue.known(pseudonym=job.pseudonym, route_key="SEALGATE/seal/pacs", digest=arrival().digest)
    assert queue.put(replace(arrival(), incoming="in-2-1"))
    assert claim_deliveries(queue) == [], "it is prepared anew first"
    prepare_one(queue)
    (mended,) = claim_deliveries(queue)
    assert (mended.incoming, mended.outgoing, mended.attempts) == ("in-2-1", "out-2-1", 0)
    assert claim_deliveries(queue, destination="archive") == [], "it has the object already"
    assert not queue.put(replace(arrival(), incoming="in-3-1"))


def test_a_lost_file_is_not_replaced_under_a_delivery_that_is_under_way(queue: Queue) -> None:
    queue.put(arrival(to=("pacs", "archive")))
    prepare_one(queue)
    (job,) = claim_deliveries(queue)
    (other,) = claim_deliveries(queue, destination="archive")
    queue.park("d", job, reason="spool-corrupt", hint="")
    assert not queue.put(replace(arrival(), incoming="in-2-1"))
    queue.give_back("d", [other])
    (other,) = claim_deliveries(queue, destination="archive")
    assert other.outgoing == "out-1-1"


def test_other_instances_pass_one_that_waits_for_its_retry(queue: Queue) -> None:
    queue.put(arrival(1, action="pass"))
    queue.put(arrival(2, action="pass"))
    first, second = claim_deliveries(queue)
    queue.retry("d", first, delay_s=1000, reason="peer-failed", hint="")
    queue.give_back("d", [second])
    assert [job.id for job in claim_deliveries(queue)] == [second.id]


def test_at_start_all_leases_end_without_blame(queue: Queue) -> None:
    queue.put(arrival())
    queue.claim("before the crash", step=Step.PREPARE, limit=1, lease_s=1e6)
    assert queue.release_all() == 1
    (job,) = queue.claim("after", step=Step.PREPARE, limit=1, lease_s=60)
    assert job.deaths == 0


def test_held_jobs_are_not_claimed_until_released(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival())
    (prepare,) = admin.list(state=State.READY)
    assert admin.hold([prepare.id]) == [prepare.id]
    assert queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60) == []
    assert admin.release([prepare.id]) == [prepare.id]
    assert len(queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)) == 1


def test_a_delivery_held_before_it_was_prepared_goes_back_to_waiting(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival())
    (delivery,) = admin.list(state=State.WAITING)
    admin.hold([delivery.id])
    admin.release([delivery.id])
    shown = admin.show(delivery.id)
    assert shown is not None and shown.state is State.WAITING
    admin.hold([delivery.id])
    prepare_one(queue)
    assert claim_deliveries(queue) == []
    admin.release([delivery.id])
    assert len(claim_deliveries(queue)) == 1


def test_a_dropped_instance_is_given_up_whole_and_not_known_any_more(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival())
    (prepare,) = admin.list(state=State.READY)
    assert admin.drop([prepare.id]) == [prepare.id]
    assert admin.list() == []
    assert queue.files() == set()
    assert queue.put(arrival())


def test_dropping_one_destination_leaves_the_others(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival(to=("pacs", "archive"), action="pass"))
    (archive,) = admin.list(destination="archive")
    admin.drop([archive.id])
    assert queue.delivered("d", claim_deliveries(queue)) == ["in-1-1"]


def test_a_leased_job_is_not_steered_behind_its_worker(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival())
    (job,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    assert (
        admin.hold([job.id]) == admin.drop([job.id]) == admin.retry([job.id]) == admin.release([job.id]) == []
    )


def test_steering_follows_the_table_of_states(queue: Queue, admin: QueueAdmin) -> None:
    """Each state a job can be brought into by hand, each thing people do: only what NEXT lists has an effect."""
    deeds = {"hold": admin.hold, "release": admin.release, "drop": admin.drop, "retry": admin.retry}
    for number, state in enumerate((State.READY, State.WAITING, State.PARKED, State.HELD)):
        for index, (deed, act) in enumerate(deeds.items()):
            job_id = _job_in(state, queue, admin, 100 + number * 10 + index)
            changed = act([job_id])
            expected = NEXT.get((state, deed))
            if deed == "retry" and state is State.READY:
                expected = State.READY  # comes before its time
            shown = admin.show(job_id)
            after = shown.state if shown else State.DROPPED
            back = State.READY if state is not State.WAITING else State.WAITING
            assert (changed == [job_id]) == (expected is not None), (state, deed)
            assert after == (expected or state) or (deed == "release" and after == back), (state, deed)


def test_a_parked_preparation_can_be_passed_on_and_what_was_received_is_delivered(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(1))
    (job,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    assert admin.pass_on([job.id]) == []
    queue.park("w", job, reason="unreadable", hint="")
    assert admin.pass_on([job.id]) == [job.id]
    assert admin.pass_on([job.id]) == []
    (delivery, *_) = claim_deliveries(queue)
    assert (delivery.outgoing, delivery.level, delivery.outcome) == (None, "pass", "released")


def test_what_is_to_be_released_is_never_passed_on_as_it_was_received(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(1, action="release"))
    (job,) = queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60)
    queue.park("w", job, reason="tampered", hint="")
    assert admin.pass_on([job.id]) == []
    assert claim_deliveries(queue) == []
    shown = admin.show(job.id)
    assert shown is not None
    assert shown.state is State.PARKED


def _job_in(state: State, queue: Queue, admin: QueueAdmin, number: int) -> int:
    queue.put(arrival(number, action="seal" if state is State.WAITING else "pass"))
    job = next(job for job in admin.list(pseudonym=f"{number:016x}") if job.step is Step.DELIVER)
    if state is State.HELD:
        admin.hold([job.id])
    if state is State.PARKED:
        for claimed in claim_deliveries(queue, limit=1000):
            if claimed.id == job.id:
                queue.park("d", claimed, reason="x", hint="")
            else:
                queue.give_back("d", [claimed])
    return job.id


def test_depth_counts_what_is_left_by_step_destination_and_state(queue: Queue, clock: Clock) -> None:
    queue.put(arrival(1))
    clock.now += 5
    queue.put(arrival(2))
    depth = {(d.step, d.destination, d.state): (d.jobs, d.oldest) for d in queue.depth()}
    assert depth[Step.PREPARE, "", State.READY] == (2, clock.now - 5)
    assert depth[Step.DELIVER, "pacs", State.WAITING][0] == 2


def test_two_threads_claim_every_job_once(queue: Queue) -> None:
    for number in range(60):
        queue.put(arrival(number))
    claimed: list[int] = []

    def work(name: str) -> None:
        while jobs := queue.claim(name, step=Step.PREPARE, limit=3, lease_s=60):
            claimed.extend(job.id for job in jobs)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed)) == 60


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    first = SqliteQueue(tmp_path / "queue")
    first.put(arrival())
    first.close()
    second = SqliteQueue(tmp_path / "queue")
    assert len(second.claim("w", step=Step.PREPARE, limit=10, lease_s=60)) == 1
    second.close()


def test_a_queue_made_by_the_first_version_opens_and_goes_on(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "queue"
    write_first_version(path)
    queue, admin = SqliteQueue(path, clock=clock), SqliteQueueAdmin(path, clock=clock)
    states = {(job.id, job.step.value, job.destination): job.state for job in admin.list()}
    assert states == {
        (3, "deliver", "archive"): State.READY,
        (4, "prepare", ""): State.PARKED,
        (5, "deliver", "pacs"): State.WAITING,
        (7, "deliver", "pacs"): State.READY,
        (9, "deliver", "pacs"): State.HELD,
    }
    assert not queue.put(arrival(3, action="pass")), "delivered by the first version"
    assert admin.retry([4]) == [4] and admin.release([9]) == [9]
    prepare_one(queue)
    assert [job.id for job in claim_deliveries(queue)] == [5, 7, 9]
    admin.close()
    queue.close()


def test_a_migrated_queue_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    write_first_version(tmp_path / "old")
    shapes = []
    for name in ("old", "new"):
        SqliteQueue(tmp_path / name).close()
        shapes.append(shape(tmp_path / name))
    assert shapes[0] == shapes[1]


def write_first_version(path: Path) -> None:
    """A queue as the first version of the gateway made it."""
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "queue-0.sql").read_text())
    connection.close()


def shape(path: Path) -> dict[str, object]:
    """The columns of each table, sorted, the text of each index, and the version."""
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    parts: dict[str, object] = {
        table: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({table})"))
        for table in tables
    }
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    parts |= {name: sql.replace("IF NOT EXISTS ", "") for name, sql in connection.execute(indexes)}
    parts["version"] = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return parts


def test_a_queue_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    SqliteQueue(tmp_path / "queue").close()
    connection = sqlite3.connect(tmp_path / "queue")
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(ResourceError, match="newer version"):
        SqliteQueue(tmp_path / "queue")


def test_a_paused_destination_gets_nothing_until_it_is_resumed_and_others_go_on(
    queue: Queue, admin: QueueAdmin, clock: Clock
) -> None:
    queue.put(arrival(to=("pacs", "archive"), action="pass"))
    assert admin.pause("pacs") and not admin.pause("pacs")
    assert queue.paused("pacs") and not queue.paused("archive")
    assert claim_deliveries(queue) == []
    assert len(claim_deliveries(queue, destination="archive")) == 1
    assert [(note.name, note.paused_at) for note in admin.notes()] == [("pacs", clock.now)]
    assert admin.resume("pacs") and not admin.resume("pacs")
    assert len(claim_deliveries(queue)) == 1


def test_a_delivery_that_waits_for_its_time_comes_at_once_when_the_clock_was_set_back(
    queue: Queue, clock: Clock
) -> None:
    queue.put(arrival(action="pass"))
    (job,) = claim_deliveries(queue)
    queue.retry("d", job, delay_s=300, reason="peer-failed", hint="")
    clock.now += 10
    assert claim_deliveries(queue) == []
    clock.now -= 7200
    assert len(claim_deliveries(queue)) == 1


def test_what_failed_long_enough_goes_to_the_stand_in_as_well(
    queue: Queue, admin: QueueAdmin, clock: Clock
) -> None:
    queue.put(arrival(1, action="pass"))
    queue.put(arrival(2, action="pass"))
    first, second = claim_deliveries(queue)
    queue.park("d", first, reason="refused-by-peer", hint="")
    clock.now += 50
    queue.retry("d", second, delay_s=0, reason="peer-failed", hint="")
    clock.now += 60
    assert queue.fail_over("pacs", other="archive", after_s=100) == 1
    assert queue.fail_over("pacs", other="archive", after_s=100) == 0, "once"
    (stand_in,) = claim_deliveries(queue, destination="archive")
    assert (stand_in.pseudonym, stand_in.instead_of) == (first.pseudonym, "pacs")
    assert queue.delivered("d", [stand_in]) == [], "the first destination still misses it"
    assert admin.retry([first.id]) == [first.id]
    assert queue.delivered("d", claim_deliveries(queue, limit=1)) == ["in-1-1"]


def test_all_that_waits_for_an_unreachable_destination_goes_to_the_stand_in(
    queue: Queue, admin: QueueAdmin, clock: Clock
) -> None:
    queue.unreachable("pacs")
    clock.now += 90
    queue.unreachable("pacs")
    queue.put(arrival(1, action="pass"))
    queue.put(arrival(2, action="seal"))
    queue.put(arrival(3, action="pass", to=("pacs", "archive")))
    clock.now += 20
    assert queue.fail_over("pacs", other="archive", after_s=100) == 1, (
        "one is not prepared, one goes there anyway"
    )
    queue.delivered("d", claim_deliveries(queue, limit=1))
    assert [note.down_since for note in admin.notes()] == [None]
    prepare_one(queue)
    assert queue.fail_over("pacs", other="archive", after_s=100) == 0, "it answers again"


def test_a_paused_destination_is_not_stood_in_for(queue: Queue, admin: QueueAdmin, clock: Clock) -> None:
    queue.put(arrival(action="pass"))
    queue.unreachable("pacs")
    admin.pause("pacs")
    clock.now += 200
    assert queue.fail_over("pacs", other="archive", after_s=100) == 0


def test_a_stand_in_does_not_bring_an_older_version_after_a_newer_one(queue: Queue, clock: Clock) -> None:
    queue.put(arrival(version=1, action="pass"))
    (older,) = claim_deliveries(queue)
    queue.park("d", older, reason="refused-by-peer", hint="")
    queue.put(arrival(version=2, action="pass", to=("archive",)))
    queue.delivered("d", claim_deliveries(queue, destination="archive"))
    clock.now += 200
    assert queue.fail_over("pacs", other="archive", after_s=100) == 0
    assert claim_deliveries(queue, destination="archive") == []


def test_urgent_jobs_go_before_others_and_equal_ones_in_the_order_of_arrival(queue: Queue) -> None:
    order = (Priority.LOW, Priority.NORMAL, Priority.URGENT, Priority.NORMAL, Priority.URGENT)
    for number, priority in enumerate(order):
        queue.put(replace(arrival(number), priority=priority))
    prepares = queue.claim("w", step=Step.PREPARE, limit=4, lease_s=60)
    assert [int(job.pseudonym) for job in prepares] == [2, 4, 1, 3]
    for job in prepares:
        queue.prepared("w", job, Prepared(outgoing=None, level="full", reason="sealed"))
    assert [int(job.pseudonym) for job in claim_deliveries(queue, limit=1)] == [2]
    assert [(int(job.pseudonym), job.priority) for job in claim_deliveries(queue)] == [
        (4, Priority.URGENT),
        (1, Priority.NORMAL),
        (3, Priority.NORMAL),
    ]


def test_what_is_claimed_can_see_that_something_more_urgent_came(queue: Queue) -> None:
    queue.put(arrival(1, action="pass"))
    (claimed,) = claim_deliveries(queue)
    queue.put(arrival(2, action="pass"))
    assert not queue.overtaken("pacs", priority=claimed.priority)
    queue.put(replace(arrival(3, action="pass"), priority=Priority.URGENT))
    assert queue.overtaken("pacs", priority=claimed.priority)
    assert not queue.overtaken("archive", priority=claimed.priority)


def test_an_urgent_newer_version_still_follows_the_older_one(queue: Queue) -> None:
    queue.put(arrival(version=1, action="pass"))
    queue.put(replace(arrival(version=2, action="pass"), priority=Priority.URGENT))
    (older,) = claim_deliveries(queue)
    assert older.incoming == "in-1-1"


def test_jobs_are_found_by_study_and_by_the_time_of_their_arrival(
    queue: Queue, admin: QueueAdmin, clock: Clock
) -> None:
    for number in range(4):
        queue.put(replace(arrival(number, action="pass"), study=f"study-{number % 2}"))
        clock.now += 10

    def found(**selection: object) -> list[int]:
        return [int(job.pseudonym) for job in admin.list(**selection)]  # type: ignore[arg-type]

    assert found(study="study-1") == [1, 3]
    assert found(since=1_000_010.0, until=1_000_030.0) == [1, 2]
    assert found(study="study-1", since=1_000_020.0) == [3]
    assert found(study="none") == []


@pytest.mark.parametrize("action", ["seal", "pass"])
def test_a_changed_instance_can_be_held_until_a_person_releases_it(
    queue: Queue, admin: QueueAdmin, action: str
) -> None:
    queue.put(arrival(version=1, action="pass"))
    queue.delivered("d", claim_deliveries(queue))
    assert queue.put(replace(arrival(version=2, action=action), changed="hold")) is Put.CHANGED
    assert queue.claim("w", step=Step.PREPARE, limit=1, lease_s=60) == claim_deliveries(queue) == []
    (held,) = admin.list(state=State.HELD)
    assert (held.reason, "release" in (held.hint or "")) == ("changed-instance", True)
    assert admin.release([held.id]) == [held.id]
    if action == "seal":
        prepare_one(queue)
    (delivery,) = claim_deliveries(queue)
    assert delivery.incoming == "in-1-2"


def test_a_held_changed_instance_that_is_dropped_is_new_when_it_comes_again(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(version=1, action="pass"))
    queue.put(replace(arrival(version=2), changed="hold"))
    admin.drop([job.id for job in admin.list(state=State.HELD)])
    assert queue.put(replace(arrival(version=2), changed="hold")) is Put.CHANGED
    assert len(admin.list(state=State.HELD)) == 1


def test_a_changed_instance_can_be_refused_and_leaves_no_trace(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival(version=1))
    before = admin.list()
    with pytest.raises(ChangedInstance):
        queue.put(replace(arrival(version=2), changed="refuse"))
    assert admin.list() == before
    assert queue.files() == {"in-1-1"}


def test_changed_is_what_has_other_bytes_for_the_same_destination(queue: Queue) -> None:
    assert queue.put(arrival(version=1)) is Put.NEW
    assert queue.put(arrival(version=1)) is Put.KNOWN
    assert queue.put(replace(arrival(version=2, to=("archive",)), changed="refuse")) is Put.NEW
    other_route = replace(arrival(version=3, to=("archive", "pacs")), route_key="OTHER")
    with pytest.raises(ChangedInstance):
        queue.put(replace(other_route, changed="refuse"))
    assert queue.put(other_route) is Put.CHANGED
    same_bytes_elsewhere = replace(arrival(4), route_key="OTHER")
    assert (queue.put(arrival(4)), queue.put(same_bytes_elsewhere)) == (Put.NEW, Put.NEW)


def delivered_and_kept(queue: Queue, number: int, *, to: tuple[str, ...] = ("pacs",)) -> None:
    queue.put(arrival(number, to=to, action="pass"))
    for destination in to:
        assert queue.delivered("d", claim_deliveries(queue, destination=destination), keep=True) == []


def test_kept_files_stay_until_they_are_purged_and_the_ledger_remembers(queue: Queue, clock: Clock) -> None:
    delivered_and_kept(queue, 1)
    clock.now += 10
    delivered_and_kept(queue, 2)
    assert [(kept.files, kept.finished_at) for kept in queue.kept()] == [
        (["in-1-1"], clock.now - 10),
        (["in-2-1"], clock.now),
    ]
    assert queue.files() == {"in-1-1", "in-2-1"}
    assert queue.forget(finished_before=clock.now + 1) == 0, "they are still kept"
    assert queue.purge([queue.kept()[0].instance_id]) == ["in-1-1"]
    assert queue.files() == {"in-2-1"}
    assert queue.put(arrival(1, action="pass")) is Put.KNOWN


def test_only_what_is_finished_can_be_purged(queue: Queue) -> None:
    queue.put(arrival(1, to=("pacs", "archive"), action="pass"))
    (job,) = claim_deliveries(queue)
    assert queue.delivered("d", [job], keep=True) == []
    assert queue.kept() == []
    assert queue.purge([job.instance_id]) == []


def test_what_is_kept_can_be_sent_again_to_one_destination(queue: Queue, admin: QueueAdmin) -> None:
    delivered_and_kept(queue, 1, to=("pacs", "archive"))
    done = admin.list(state=State.DONE, destination="pacs")
    assert admin.resend([job.id for job in done]) == [done[0].id]
    assert queue.kept() == [], "it is to be delivered once more"
    assert claim_deliveries(queue, destination="archive") == []
    (again,) = claim_deliveries(queue)
    assert again.incoming == "in-1-1"
    queue.delivered("d", [again], keep=True)
    assert queue.purge([again.instance_id]) == ["in-1-1"]
    assert admin.resend([again.id]) == [], "its file is gone"


def test_an_older_version_is_not_sent_again_after_a_newer_one(queue: Queue, admin: QueueAdmin) -> None:
    delivered_and_kept(queue, 1)
    (older,) = admin.list(state=State.DONE)
    queue.put(arrival(1, version=2, action="pass"))
    assert admin.resend([older.id]) == []


def test_files_of_an_instance_that_was_dropped_for_one_destination_are_not_kept(
    queue: Queue, admin: QueueAdmin
) -> None:
    queue.put(arrival(to=("pacs", "archive"), action="pass"))
    admin.drop([job.id for job in admin.list(destination="archive")])
    assert queue.delivered("d", claim_deliveries(queue), keep=True) == ["in-1-1"]


def test_a_snapshot_is_a_queue_that_goes_on_and_the_first_is_left_as_it_was(
    queue: Queue, tmp_path: Path, clock: Clock
) -> None:
    queue.put(arrival(1))
    queue.put(arrival(2, action="pass"))
    (tmp_path / "copy").mkdir()
    with queue.snapshot(tmp_path / "copy") as snapshot:
        assert snapshot.files == queue.files()
    claimed = claim_deliveries(queue)
    (file,) = (tmp_path / "copy").iterdir()
    copy = SqliteQueue(file, clock=clock)
    assert copy.files() == snapshot.files
    assert [job.id for job in claim_deliveries(copy)] == [job.id for job in claimed]
    assert not copy.put(arrival(1)), "the copy knows what was put before"
    assert copy.put(arrival(3)) and queue.put(arrival(3))
    copy.close()


def test_while_a_snapshot_is_used_nobody_writes_and_then_all_go_on(queue: Queue, tmp_path: Path) -> None:
    queue.put(arrival(1))
    (tmp_path / "copy").mkdir()
    entered, put = threading.Event(), threading.Event()

    def write() -> None:
        entered.wait()
        queue.put(arrival(2))
        put.set()

    writer = threading.Thread(target=write)
    writer.start()
    with queue.snapshot(tmp_path / "copy") as snapshot:
        entered.set()
        assert not put.wait(0.3)
    writer.join()
    assert snapshot.files == {"in-1-1"}
    assert queue.files() == {"in-1-1", "in-2-1"}


def test_a_snapshot_to_a_place_that_cannot_be_written_is_an_error_and_the_queue_goes_on(
    queue: Queue, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError), queue.snapshot(tmp_path / "missing"):
        pass
    assert queue.put(arrival(1))


def test_a_queue_of_an_older_version_is_copied_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    write_first_version(tmp_path / FILE_NAME)
    before = shape(tmp_path / FILE_NAME)
    queue = open_to_copy(tmp_path)
    with queue.snapshot(tmp_path / "copy") as snapshot:
        assert snapshot.files
    queue.close()
    assert shape(tmp_path / FILE_NAME) == before
    assert shape(tmp_path / "copy" / FILE_NAME)["version"] == VERSION
    assert all(is_file_of_queue(path.name) for path in tmp_path.iterdir() if path.is_file())


def test_where_there_is_no_queue_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no queue"):
        open_to_copy(tmp_path)
    assert list(tmp_path.iterdir()) == []


def comes_back(queue: Queue, *, number: int = 1, route_key: str = "SEALGATE/seal/pacs", **by: str) -> bool:
    values = {"calling": "OTHER", "gateway": "bbbbbbb"} | by
    return queue.comes_back(pseudonym=f"{number:016x}", route_key=route_key, **values)


def test_what_went_out_to_a_gateway_comes_back_when_a_gateway_brings_it_by_the_same_route(
    queue: Queue,
) -> None:
    queue.put(arrival(action="pass"))
    assert not comes_back(queue), "nobody knows yet what answers there"
    queue.answered_by("pacs", "ccccccc")
    assert comes_back(queue)
    assert not comes_back(queue, number=2)
    assert not comes_back(queue, route_key="BACK/pass/pacs")
    (job,) = claim_deliveries(queue)
    queue.delivered("d", [job])
    assert comes_back(queue), "delivered ones are remembered"


def test_a_gateway_that_repeats_itself_brings_nothing_back_unless_it_was_sent_there(queue: Queue) -> None:
    queue.put(arrival(action="pass"))
    queue.answered_by("pacs", "ccccccc")
    assert not comes_back(queue, calling="MODALITY", gateway="bbbbbbb")
    assert comes_back(queue, calling="MODALITY", gateway="ccccccc")


def test_what_went_to_another_program_never_comes_back(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival(action="pass"))
    queue.unreachable("pacs")
    queue.answered_by("pacs", "ccccccc")
    queue.answered_by("pacs", None)
    assert not comes_back(queue)
    assert [note.down_since is None for note in admin.notes()] == [False], "the other notes stay"


def test_what_people_gave_up_does_not_come_back(queue: Queue, admin: QueueAdmin) -> None:
    queue.put(arrival(action="pass"))
    queue.answered_by("pacs", "ccccccc")
    (job,) = admin.list()
    admin.drop([job.id])
    assert not comes_back(queue)


def sealed(entry: bytes, *, outgoing: str = "out") -> Prepared:
    return Prepared(outgoing=outgoing, level="full", reason="sealed", ledger_entry=entry)


def claim_prepare(queue: Queue, worker: str = "w") -> Job:
    (job,) = queue.claim(worker, step=Step.PREPARE, limit=1, lease_s=60)
    return job


def test_what_is_sealed_waits_for_the_ledger_in_its_order_until_that_has_it(queue: Queue) -> None:
    for number in (1, 2, 3):
        queue.put(arrival(number))
        queue.prepared("w", claim_prepare(queue), sealed(b"entry %d" % number))
    assert [row.entry for row in queue.unlogged(limit=2)] == [b"entry 1", b"entry 2"]
    assert queue.unlogged_count() == 3
    queue.logged([row.id for row in queue.unlogged(limit=2)])
    assert [row.entry for row in queue.unlogged(limit=2)] == [b"entry 3"]


def test_what_is_not_sealed_is_nothing_for_the_ledger(queue: Queue) -> None:
    queue.put(arrival())
    prepare_one(queue)
    assert (queue.unlogged(limit=9), queue.unlogged_count()) == ([], 0)


def test_of_two_results_for_one_job_the_ledger_gets_the_one_that_is_delivered(
    queue: Queue, clock: Clock
) -> None:
    queue.put(arrival())
    slow = claim_prepare(queue, "slow")
    clock.now += 61
    queue.expire()
    queue.prepared("fast", claim_prepare(queue, "fast"), sealed(b"fast"))
    assert not queue.prepared("slow", slow, sealed(b"slow"))
    assert [row.entry for row in queue.unlogged(limit=9)] == [b"fast"]


def test_an_older_version_that_is_not_delivered_any_more_is_nothing_for_the_ledger(
    queue: Queue, admin: QueueAdmin
) -> None:
    """It would pass for the newest one there."""
    queue.put(arrival(version=1))
    older = claim_prepare(queue)
    queue.park("w", older, reason="worker-died", hint="")
    queue.put(arrival(version=2))
    queue.prepared("w", claim_prepare(queue), sealed(b"newer"))
    queue.delivered("d", claim_deliveries(queue))
    admin.retry([older.id])
    queue.prepared("w", claim_prepare(queue), sealed(b"older"))
    assert [row.entry for row in queue.unlogged(limit=9)] == [b"newer"]


def test_the_newest_version_is_the_last_one_in_the_ledger_whichever_is_prepared_first(queue: Queue) -> None:
    for version in (1, 2):
        queue.put(arrival(version=version))
    queue.put(arrival(2))
    older, newer, other = queue.claim("w", step=Step.PREPARE, limit=3, lease_s=60)
    queue.prepared("w", newer, sealed(b"newer"))
    queue.prepared("w", other, sealed(b"other"))
    assert [row.entry for row in queue.unlogged(limit=9)] == [b"other"], "the older one is still to come"
    queue.prepared("w", older, sealed(b"older"))
    assert [row.entry for row in queue.unlogged(limit=9)] == [b"older", b"newer", b"other"]


def test_an_entry_of_the_ledger_outlives_its_instance(queue: Queue, clock: Clock) -> None:
    queue.put(arrival())
    queue.prepared("w", claim_prepare(queue), sealed(b"entry"))
    queue.delivered("d", claim_deliveries(queue))
    clock.now += 10
    assert queue.forget(finished_before=clock.now) == 1
    assert queue.unlogged_count() == 1
