"""What becomes of a prepare job, without any worker process: done, tried again, marked, put aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.errors import AlreadySealed, ResourceError, WorkerDied
from gateway.observe import Metrics, logger
from gateway.queue import Arrival, Job, State, Step
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.runtime.wakeup import Wakeup
from gateway.spool import LocalSpool
from gateway.work.context import WorkContext
from gateway.work.settling import DEATHS_MAX, Settlement
from gateway.work.tasks import Failure, MarkTask, Outcome

WORKER = "prepare-0"
OBJECT = b"an object as it came"


class Case:
    """One leased prepare job in a real queue, and its object in a real spool.

    marks: the MarkTasks that were asked for.
    mark_result: what a MarkTask yields, or the error that it raises.
    """

    def __init__(self, folder: Path, **tables: Any) -> None:
        config = Config.model_validate(
            {
                "gateway": {"data_dir": folder},
                "keys": {"recipient": folder / "r.pub", "signer": folder / "s.key"},
                "queue": {"backoff_s": 0.01, "backoff_max_s": 0.02, "attempts": 2},
                "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}],
                "route": [{"called": "SEALGATE", "action": "seal", "to": ["pacs"]}],
            }
            | tables
        )
        self._folder = folder
        self.spool, self.metrics = LocalSpool(folder), Metrics()
        self.queue = SqliteQueue(folder / "queue.sqlite")
        self.admin = SqliteQueueAdmin(folder / "queue.sqlite")
        self.queue.put(
            Arrival(
                pseudonym="0" * 16,
                digest="0" * 64,
                route_key=config.route[0].key,
                called="SEALGATE",
                calling="M",
                action="seal",
                on_failure="quarantine",
                destinations=("pacs",),
                bytes=len(OBJECT),
                incoming=self.spool.put(OBJECT),
            )
        )
        context = WorkContext(config, self.queue, self.spool, self.metrics, logger(), Wakeup(), Wakeup())
        self.marks: list[MarkTask] = []
        self.mark_result: Outcome | Failure | Exception = Outcome(
            outgoing=None, level="pass", reason="not sealed"
        )
        self.settlement = Settlement(WORKER, context, self._mark)

    def _mark(self, task: MarkTask) -> tuple[Outcome | Failure, float]:
        self.marks.append(task)
        if isinstance(self.mark_result, Exception):
            raise self.mark_result
        return self.mark_result, 0.1

    def claimed(self) -> Job:
        """The prepare job, as soon as it may be tried."""
        while True:
            jobs = self.queue.claim(WORKER, step=Step.PREPARE, limit=1, lease_s=60.0)
            if jobs:
                return jobs[0]

    def state(self, step: Step = Step.PREPARE) -> tuple[State, str | None]:
        job = next(job for job in self.admin.list() if job.step is step)
        return job.state, job.reason

    @property
    def quarantined(self) -> list[Path]:
        return list((self._folder / "quarantine").glob("*.dcm"))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    built = Case(tmp_path)
    yield built
    built.queue.close()
    built.admin.close()


@pytest.fixture
def marking(tmp_path: Path) -> Iterator[Case]:
    """What can't be sealed goes on with a mark."""
    built = Case(tmp_path, seal={"impossible": "forward-marked"})
    yield built
    built.queue.close()
    built.admin.close()


def failure(code: str = "some-code", *, retry: bool = False) -> Failure:
    return Failure(code=code, text="text", hint="hint", retry=retry)


def test_a_sealed_object_is_ready_for_delivery_and_counted(case: Case) -> None:
    case.settlement.done(
        case.claimed(), Outcome(outgoing=case.spool.put(b"sealed"), level="full", reason="sealed"), 0.5
    )
    assert case.state(Step.DELIVER)[0] is State.READY
    assert 'sealgate_sealed_total{level="full",reason="sealed"} 1.0' in case.metrics.exposition().decode()


def test_the_result_of_a_worker_that_lost_its_job_is_removed(case: Case) -> None:
    job = case.claimed()
    case.queue.give_back(WORKER, [job])
    late = case.spool.put(b"sealed too late")
    case.settlement.done(job, Outcome(outgoing=late, level="full", reason="sealed"), 0.5)
    assert list(case.spool.names()) == [job.incoming]
    assert case.state() == (State.READY, None)


def test_a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up(case: Case) -> None:
    case.settlement.failed(case.claimed(), failure(retry=True))
    assert case.state()[0] is State.READY
    case.settlement.failed(case.claimed(), failure(retry=True))
    assert case.state() == (State.PARKED, "some-code")


def test_a_failure_for_good_is_quarantined_at_once(case: Case) -> None:
    case.settlement.failed(case.claimed(), failure())
    assert case.state() == (State.PARKED, "some-code")
    assert [path.read_bytes() for path in case.quarantined] == [OBJECT]
    assert case.marks == []


def test_where_the_policy_prefers_it_a_failed_object_goes_on_marked(marking: Case) -> None:
    job = marking.claimed()
    marking.settlement.failed(job, failure())
    assert marking.marks == [MarkTask(object_name=job.incoming, warning="not sealed: some-code")]
    assert marking.state(Step.DELIVER)[0] is State.READY
    assert marking.quarantined == []


@pytest.mark.parametrize("trouble", [failure("unreadable"), WorkerDied("the worker process ended")])
def test_an_object_that_cannot_be_marked_is_quarantined_for_the_first_failure(
    marking: Case, trouble: Failure | Exception
) -> None:
    marking.mark_result = trouble
    marking.settlement.failed(marking.claimed(), failure())
    assert marking.state() == (State.PARKED, "some-code")


def test_an_object_that_the_policy_refuses_is_never_marked(marking: Case) -> None:
    marking.settlement.failed(marking.claimed(), failure(AlreadySealed.code))
    assert marking.state() == (State.PARKED, AlreadySealed.code)
    assert marking.marks == []


def test_the_death_of_a_worker_is_not_an_attempt_but_there_are_not_many(case: Case) -> None:
    died = WorkerDied("the worker process ended")
    for deaths in range(DEATHS_MAX):
        job = case.claimed()
        assert (job.deaths, job.attempts) == (deaths, 0)
        case.settlement.worker_died(job, died)
    assert case.state() == (State.PARKED, WorkerDied.code)


def test_without_a_worker_an_object_waits_without_blame(case: Case) -> None:
    case.settlement.no_worker(case.claimed(), ResourceError("no worker process could be started"))
    job = case.claimed()
    assert (job.attempts, job.deaths) == (0, 0)
    assert case.marks == []


def test_without_a_worker_an_object_goes_on_marked_where_the_policy_prefers_it(marking: Case) -> None:
    marking.settlement.no_worker(marking.claimed(), ResourceError("no worker process could be started"))
    assert [task.warning for task in marking.marks] == [f"not sealed: {ResourceError.code}"]
    assert marking.state(Step.DELIVER)[0] is State.READY
