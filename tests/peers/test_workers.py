"""Worker processes: what they do, and what happens when an object or the system ends them."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gateway import keys
from gateway.config import Config
from gateway.errors import KeyFileError, WorkerDied
from gateway.observe import Metrics, logger
from gateway.queue import (
    Arrival,
    Job,
    State,
    Step,
)
from gateway.queue.sqlite.admin import SqliteQueueAdmin
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.runtime.wakeup import Wakeup
from gateway.spool import LocalSpool
from gateway.work.context import WorkContext
from gateway.work.on_demand import OnDemand
from gateway.work.preparer import Preparer
from gateway.work.process import WorkerProcess
from gateway.work.settling import DEATHS_MAX
from gateway.work.tasks import Failure, MarkTask, Outcome, SealTask, Task, VerifyTask
from gateway.work.worker import guarded
from tests.support.gateway import wait_for
from tests.support.objects import ct
from tests.support.spool import file_of


def configured(folder: Path, **tables: Any) -> Config:
    if not (folder / "keys").exists():
        keys.generate(folder / "keys")
    text: dict[str, Any] = {
        "gateway": {"data_dir": folder / "data"},
        "keys": {
            "recipient": folder / "keys" / "recipient.pub",
            "signer": folder / "keys" / "signer.key",
            "signers": folder / "keys" / "signer.pub",
            "recipient_key": folder / "keys" / "recipient.key",
        },
        "queue": {"backoff_s": 0.01, "backoff_max_s": 0.02, "attempts": 2},
        "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}],
        "route": [{"called": "SEALGATE", "action": "seal", "to": ["pacs"]}],
    }
    return Config.model_validate(text | tables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def config(folder: Path) -> Config:
    return configured(folder)


@pytest.fixture(scope="module")
def spool(config: Config) -> LocalSpool:
    return LocalSpool(config.gateway.data_dir)


@pytest.fixture(scope="module")
def process(config: Config) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(config)
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def original() -> bytes:
    return ct(rows=128, columns=128, seed=11)


@pytest.fixture(scope="module")
def sealed(process: WorkerProcess, spool: LocalSpool, original: bytes) -> bytes:
    result, seconds = process.run(SealTask(object_name=spool.put(original)), timeout_s=60)
    assert isinstance(result, Outcome)
    assert (result.level, result.reason) == ("full", "sealed")
    assert result.outgoing is not None and seconds > 0
    return spool.read(result.outgoing)


def outcome_of(process: WorkerProcess, task: Task[Outcome]) -> Outcome:
    result, _ = process.run(task, timeout_s=60)
    assert isinstance(result, Outcome)
    return result


def failure_of(process: WorkerProcess, task: Task[Outcome]) -> Failure:
    result, _ = process.run(task, timeout_s=60)
    assert isinstance(result, Failure)
    return result


def with_one_pixel_changed(data: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    pixels = dataset.pixel_array.copy()
    pixels[64, 64] ^= 1
    dataset.PixelData = pixels.tobytes()
    changed = io.BytesIO()
    dataset.save_as(changed)
    return changed.getvalue()


def test_sealed_objects_are_verified_and_restored(
    process: WorkerProcess, spool: LocalSpool, original: bytes, sealed: bytes
) -> None:
    name = spool.put(sealed)
    verified = outcome_of(process, VerifyTask(object_name=name, restores=False, marks_failing=False))
    assert (verified.verdict, verified.outgoing) == ("intact", None)
    restored = outcome_of(process, VerifyTask(object_name=name, restores=True, marks_failing=False))
    assert restored.restored and restored.outgoing is not None
    assert (
        dcmread(io.BytesIO(spool.read(restored.outgoing))).PixelData
        == dcmread(io.BytesIO(original)).PixelData
    )


def test_what_fails_verification_is_kept_back_or_marked(
    process: WorkerProcess, spool: LocalSpool, sealed: bytes
) -> None:
    name = spool.put(with_one_pixel_changed(sealed))
    kept_back = failure_of(process, VerifyTask(object_name=name, restores=True, marks_failing=False))
    assert (kept_back.verdict, kept_back.code) == ("tampered", "tampered")
    marked = outcome_of(process, VerifyTask(object_name=name, restores=True, marks_failing=True))
    assert (marked.verdict, marked.restored) == ("tampered", False)
    assert marked.outgoing is not None
    comments = dcmread(io.BytesIO(spool.read(marked.outgoing))).ImageComments
    assert comments == "SEALGATE: verification failed: tampered"


def test_garbage_is_a_failure_of_the_object_not_of_the_worker(
    process: WorkerProcess, spool: LocalSpool
) -> None:
    before = process.pid
    failure = failure_of(process, SealTask(object_name=spool.put(b"garbage")))
    assert (failure.code, failure.retry) == ("unreadable", False)
    task = VerifyTask(object_name=spool.put(b"x"), restores=True, marks_failing=True)
    assert failure_of(process, task).verdict == "unreadable"
    assert process.pid == before


def test_a_killed_worker_is_told_and_replaced(
    process: WorkerProcess, spool: LocalSpool, sealed: bytes
) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    task = VerifyTask(object_name=spool.put(sealed), restores=False, marks_failing=False)
    with pytest.raises(WorkerDied):
        process.run(task, timeout_s=60)
    assert outcome_of(process, task).verdict == "intact"


def test_a_worker_ends_when_its_pipe_does(config: Config) -> None:
    worker = WorkerProcess(config)
    worker.start()
    pid = worker.pid
    assert pid is not None
    worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_key_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    config = configured(tmp_path)
    (tmp_path / "keys" / "signer.key").write_text("no key")
    with pytest.raises(KeyFileError):
        WorkerProcess(config).start()


def test_errors_are_told_without_what_they_quote() -> None:
    class PanicException(BaseException):
        pass

    def panic(_task: object) -> Outcome:
        raise PanicException("PatientName Geheim")

    failure = guarded(panic, SealTask(object_name="x"))
    assert isinstance(failure, Failure)
    assert failure.code == "internal"
    assert "PanicException at test_workers.py:" in failure.text
    assert "Geheim" not in failure.text


def test_a_mark_says_in_the_object_that_it_was_not_sealed(
    process: WorkerProcess, spool: LocalSpool, original: bytes
) -> None:
    task = MarkTask(object_name=spool.put(original), warning="not sealed: internal")
    outcome = outcome_of(process, task)
    assert outcome.outgoing is not None and outcome.level == "pass"
    after = dcmread(io.BytesIO(spool.read(outcome.outgoing)))
    assert after.ImageComments == "SEALGATE: not sealed: internal"
    assert after.PixelData == dcmread(io.BytesIO(original)).PixelData


# -- the thread that feeds a worker


class Fed:
    """A preparer at work on one object, with a real queue, spool and worker process."""

    def __init__(
        self,
        config: Config,
        data: bytes,
        action: str = "seal",
        on_failure: str = "quarantine",
        start: bool = True,
    ) -> None:
        self.spool = LocalSpool(config.gateway.data_dir)
        path = config.gateway.data_dir / "queue.sqlite"
        self.queue, self.admin, self.metrics = SqliteQueue(path), SqliteQueueAdmin(path), Metrics()
        self.arrive(data, action=action, on_failure=on_failure)
        context = WorkContext(config, self.queue, self.spool, self.metrics, logger(), Wakeup(), Wakeup())
        self.preparer, self._start = Preparer(0, context), start

    def arrive(
        self, data: bytes, *, pseudonym: str = "0" * 16, action: str = "seal", on_failure: str = "quarantine"
    ) -> None:
        arrival = Arrival(
            pseudonym=pseudonym,
            digest="0" * 64,
            route_key="r",
            called="SEALGATE",
            calling="M",
            action=action,
            on_failure=on_failure,
            destinations=("pacs",),
            bytes=len(data),
            incoming=self.spool.put(data),
        )
        self.queue.put(arrival)

    def __enter__(self) -> Fed:
        if self._start:
            self.preparer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.preparer.stop()
        if self.preparer.is_alive():
            self.preparer.join(120)
        self.admin.close()
        self.queue.close()

    def job(self, step: Step) -> Job | None:
        return next((job for job in self.admin.list() if job.step is step), None)

    def until(self, step: Step, state: State) -> Job:
        def reached() -> bool:
            job = self.job(step)
            return job is not None and job.state is state

        wait_for(reached, what=f"{step} {state}")
        job = self.job(step)
        assert job is not None
        return job

    def until_counted(self, sample: str) -> None:
        """Return once this line is among the metrics."""
        wait_for(lambda: sample in self.metrics.exposition().decode().splitlines(), what=sample)


def test_an_object_that_kills_its_worker_three_times_is_quarantined(tmp_path: Path, original: bytes) -> None:
    config = configured(tmp_path, limits={"seal_timeout_s": 0.01})
    with Fed(config, original) as fed:
        job = fed.until(Step.PREPARE, State.PARKED)
        assert (job.deaths, job.reason) == (DEATHS_MAX - 1, "worker-died")
        (kept,) = (tmp_path / "data" / "quarantine").glob("*.dcm")
        assert kept.read_bytes() == original
        fed.until_counted(f"sealgate_worker_deaths_total {DEATHS_MAX}.0")
        waiting = fed.job(Step.DELIVER)
        assert waiting is not None and waiting.state is State.WAITING


def test_an_object_is_not_blamed_when_no_worker_can_be_started(tmp_path: Path, original: bytes) -> None:
    config = configured(tmp_path)
    assert config.keys.signer is not None
    away = config.keys.signer.rename(tmp_path / "away")
    with Fed(config, original) as fed:
        wait_for(lambda: fed.preparer.trouble is not None, what="a start that fails")
        assert fed.job(Step.PREPARE) is not None
        away.rename(config.keys.signer)
        assert fed.until(Step.DELIVER, State.READY).level == "full"
        prepared = fed.admin.list(state=State.DONE)
        assert [(job.attempts, job.deaths) for job in prepared] == [(0, 0)]


def test_a_job_cut_off_while_stopping_goes_back_without_blame(tmp_path: Path, original: bytes) -> None:
    with Fed(configured(tmp_path), original, start=False) as fed:
        fed.preparer.start_process()
        pid = fed.preparer.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        fed.preparer.start()
        fed.until(Step.PREPARE, State.LEASED)
        fed.preparer.stop()
        fed.preparer.cut_off()
        fed.preparer.join(120)
        assert not fed.preparer.is_alive()
        job = fed.until(Step.PREPARE, State.READY)
        assert (job.attempts, job.deaths) == (0, 0)


def test_http_callers_get_a_report_without_the_record(folder: Path, sealed: bytes) -> None:
    on_demand = OnDemand(configured(folder))
    try:
        report = on_demand.verify(sealed)
        assert (report.verdict, report.level) == ("intact", "full")
        assert report.record is None
        assert on_demand.verify(b"garbage").verdict == "unreadable"
    finally:
        on_demand.stop()


def test_http_callers_get_the_record_and_the_original(folder: Path, original: bytes, sealed: bytes) -> None:
    uid = dcmread(io.BytesIO(original)).SOPInstanceUID
    on_demand = OnDemand(configured(folder))
    try:
        opened = on_demand.extract(sealed)
        assert (opened.sop_instance_uid, opened.extraction.found) == (uid, True)
        restored = on_demand.restore(sealed, unverified=False)
        assert (restored.sop_instance_uid, restored.restoration.restored) == (uid, True)
        assert restored.original is not None
        assert dcmread(io.BytesIO(restored.original)).PixelData == dcmread(io.BytesIO(original)).PixelData
        unsealed = on_demand.restore(original, unverified=True)
        assert (unsealed.original, unsealed.restoration.restored) == (None, False)
        assert on_demand.extract(b"garbage").sop_instance_uid == ""
    finally:
        on_demand.stop()


def test_garbage_is_quarantined_at_once_with_its_bytes(tmp_path: Path) -> None:
    with Fed(configured(tmp_path), b"garbage" * 100) as fed:
        job = fed.until(Step.PREPARE, State.PARKED)
        assert (job.reason, job.attempts) == ("unreadable", 1)
        (kept,) = (tmp_path / "data" / "quarantine").glob("*.dcm")
        assert kept.read_bytes() == b"garbage" * 100


@pytest.mark.parametrize("policy", ["hold", "forward-marked"])
def test_a_file_that_changed_in_the_spool_is_neither_sealed_nor_marked(
    tmp_path: Path, original: bytes, policy: str
) -> None:
    with Fed(configured(tmp_path, seal={"impossible": policy}), original, start=False) as fed:
        (name,) = fed.spool.names()
        damaged = bytearray(original)
        damaged[-100] ^= 1
        file_of(fed.spool, name).write_bytes(damaged)
        fed.preparer.start()
        job = fed.until(Step.PREPARE, State.PARKED)
        assert (job.reason, job.attempts) == ("spool-corrupt", 1)
        assert list(fed.spool.names()) == [name]
        fed.until_counted('sealgate_spool_corrupt_total{step="prepare"} 1.0')


def test_what_cannot_even_be_marked_is_quarantined_whatever_the_policy(tmp_path: Path) -> None:
    config = configured(tmp_path, seal={"impossible": "forward-marked"})
    with Fed(config, b"garbage" * 100) as fed:
        assert fed.until(Step.PREPARE, State.PARKED).reason == "unreadable"


def test_a_sealed_object_is_quarantined_where_the_policy_refuses_it(tmp_path: Path, sealed: bytes) -> None:
    config = configured(tmp_path, seal={"impossible": "forward-marked", "sealed": "refuse"})
    with Fed(config, sealed) as fed:
        job = fed.until(Step.PREPARE, State.PARKED)
        assert (job.reason, job.attempts) == ("already-sealed", 1)
        assert job.hint is not None
        assert "seal.sealed" in job.hint


def test_a_tampered_object_is_quarantined_or_sent_on_marked(
    tmp_path: Path, folder: Path, sealed: bytes
) -> None:
    changed = with_one_pixel_changed(sealed)
    trusting = {"keys": configured(folder).keys.model_dump()}
    with Fed(configured(tmp_path / "a", **trusting), changed, action="verify") as fed:
        assert fed.until(Step.PREPARE, State.PARKED).reason == "tampered"
        fed.until_counted('sealgate_verdicts_total{verdict="tampered"} 1.0')
    with Fed(configured(tmp_path / "b", **trusting), changed, action="verify", on_failure="mark") as fed:
        job = fed.until(Step.DELIVER, State.READY)
        assert job.outgoing is not None
        assert b"SEALGATE: verification failed: tampered" in fed.spool.read(job.outgoing)


def test_sigterm_and_ctrl_c_of_the_terminal_do_not_end_a_worker(
    process: WorkerProcess, spool: LocalSpool, sealed: bytes
) -> None:
    task = VerifyTask(object_name=spool.put(sealed), restores=False, marks_failing=False)
    process.run(task, timeout_s=60)
    assert process.pid is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(process.pid, number)
    assert outcome_of(process, task).verdict == "intact"


def test_an_object_that_needs_too_much_memory_fails_alone(folder: Path, spool: LocalSpool) -> None:
    limited = configured(folder, limits={"worker_memory_bytes": 512 << 20})
    huge = io.BytesIO()
    dataset = dcmread(io.BytesIO(ct(rows=64, columns=64)))
    dataset.Rows = dataset.Columns = 20_000
    dataset.PixelData = bytes(2 * 20_000 * 20_000)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian  # inflated in memory
    dataset.save_as(huge)
    process = WorkerProcess(limited)
    process.start()
    failure = failure_of(process, SealTask(object_name=spool.put(huge.getvalue())))
    assert (failure.code, failure.retry) == ("too-much-memory", False)
    assert outcome_of(process, SealTask(object_name=spool.put(ct()))).level == "full"
    process.stop()
