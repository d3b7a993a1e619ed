"""Claims prepare jobs, has a worker process do them, writes down what came of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from gateway.config import Config
from gateway.errors import (
    AlreadySealed,
    GatewayError,
    ResourceError,
    SpoolCorrupt,
    WorkerDied,
)
from gateway.observe import Log, Metrics, where
from gateway.queue import (
    Job,
    Prepared,
    Queue,
    Step,
)
from gateway.runtime.backoff import delay_s
from gateway.runtime.wakeup import Wakeup
from gateway.spool import Spool
from gateway.spool.quarantine import Note, Quarantine
from gateway.work.process import WorkerProcess
from gateway.work.worker import Failure, Outcome, Task

DEATHS_MAX = 3  # then the object is taken for poison
CLAIM_MAX = 2  # a worker's share at once; small, so that all workers have something
LOOK_AGAIN_S = 1.0
TROUBLE_PAUSE_S = 2.0  # after the queue, the spool or a start failed
START_AGAIN_MAX_S = 30.0  # between attempts to start a worker process
WAITING_S = 60.0  # of an object held for want of a worker while those of other routes go on marked
NOT_SEALED = "not sealed"


@dataclass(frozen=True)
class WorkContext:
    """What all threads of the service share. arrived: rings for prepare jobs; prepared: for deliveries."""

    config: Config
    queue: Queue
    spool: Spool
    metrics: Metrics
    log: Log
    arrived: Wakeup
    prepared: Wakeup


class Preparer(threading.Thread):
    """One worker process and the thread that feeds it."""

    def __init__(self, number: int, context: WorkContext) -> None:
        super().__init__(name=f"prepare-{number}", daemon=True)
        self._context = context
        self._process = WorkerProcess(context.config)
        self._marker = WorkerProcess(context.config, marks_only=True)
        self._marks = any(
            context.config.impossible(route.key) == "forward-marked"
            for route in context.config.route
            if route.action == "seal"
        )
        self._stopping = threading.Event()
        self._failed_starts, self._start_at = 0, 0.0
        self.trouble: GatewayError | None = None  # why no worker process could be started

    @property
    def worker_pid(self) -> int | None:
        return self._process.pid

    def start_process(self) -> bool:
        """Whether it runs now; if not, `trouble` says why, and it is tried again later."""
        context = self._context
        try:
            self._process.start()
        except GatewayError as error:
            self._failed_starts += 1
            self._start_at = time.monotonic() + delay_s(
                self._failed_starts, first_s=TROUBLE_PAUSE_S, most_s=START_AGAIN_MAX_S
            )
            self.trouble = error
            context.metrics.count("sealgate_failures_total", step="start", code=error.code)
            context.log.error(
                "no worker process: nothing is sealed or restored",
                code=error.code,
                problem=str(error),
                hint=error.hint,
            )
            return False
        if self.trouble is not None:
            context.log.info("worker process again")
        self.trouble, self._failed_starts = None, 0
        self._marker.stop()
        context.metrics.set("sealgate_codec_info", 1, provider=self._process.provider)
        return True

    def stop(self) -> None:
        """After the object in hand; the rest of the claim is given back."""
        self._stopping.set()

    def cut_off(self) -> None:
        """After `stop`, when its object takes too long: the process is killed and the job given back."""
        self._process.kill()
        self._marker.kill()

    def abandon(self) -> None:
        """End a process that was started without its thread."""
        self._process.stop()

    def run(self) -> None:
        context = self._context
        while not self._stopping.is_set():
            seen = context.arrived.count
            try:
                if not self._worker_runs() and not self._marks:
                    self._stopping.wait(LOOK_AGAIN_S)  # what waits is left as it is
                    continue
                lease_s = context.config.queue.lease_s + context.config.limits.seal_timeout_s
                jobs = context.queue.claim(self.name, step=Step.PREPARE, limit=CLAIM_MAX, lease_s=lease_s)
                if not jobs:
                    context.arrived.wait(seen, LOOK_AGAIN_S)
                self._work_off(jobs, lease_s)
            except GatewayError as error:
                context.log.error("preparing interrupted", code=error.code, problem=str(error))
                self._stopping.wait(TROUBLE_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - told, and the leases give the jobs back
                context.log.error("preparing interrupted", code="internal", problem=where(error))
                self._stopping.wait(TROUBLE_PAUSE_S)
        self._process.stop()
        self._marker.stop()

    def _worker_runs(self) -> bool:
        """Whether there is a worker process, started now if it is time to try."""
        if self._process.is_started:
            return True
        return time.monotonic() >= self._start_at and self.start_process()

    def _work_off(self, jobs: list[Job], lease_s: float) -> None:
        """Raises ResourceError when the outcome can't be written down; the lease then gives the job back."""
        for position, job in enumerate(jobs):
            if self._stopping.is_set():
                self._context.queue.give_back(self.name, jobs[position:])
                return
            if position:
                self._context.queue.extend(self.name, [left.id for left in jobs[position:]], lease_s=lease_s)
            try:
                self._prepare(job)
            except Exception:
                # Not the object's fault: the worker can't be started, or the outcome can't be written down.
                self._context.queue.give_back(self.name, jobs[position:])
                raise

    def _prepare(self, job: Job) -> None:
        context = self._context
        if not self._worker_runs():
            self._do_without(job)
            return
        task = Task(
            action=job.action,  # type: ignore[arg-type]  # one of the words of Route.action, from the queue
            path=job.incoming,
            mark_failing=job.on_failure == "mark",
        )
        try:
            outcome, seconds = self._process.run(task, timeout_s=context.config.limits.seal_timeout_s)
        except WorkerDied as error:
            if self._stopping.is_set():  # we may have killed it ourselves
                context.queue.give_back(self.name, [job])
                return
            context.metrics.count("sealgate_worker_deaths_total")
            self._died(job, error)
            return
        context.metrics.time("sealgate_prepare_seconds", seconds, action=job.action)
        if outcome.verdict is not None:
            context.metrics.count("sealgate_verdicts_total", verdict=outcome.verdict)
        if outcome.failure is None:
            self._finish(job, outcome, seconds)
        else:
            self._fail(job, outcome.failure)

    def _finish(self, job: Job, outcome: Outcome, seconds: float) -> None:
        context = self._context
        result = Prepared(outgoing=outcome.outgoing, level=outcome.level, reason=outcome.reason)
        if not context.queue.prepared(self.name, job, result):
            context.spool.remove(
                [outcome.outgoing] if outcome.outgoing else []
            )  # another worker was given the job
            return
        if job.action == "seal":
            context.metrics.count("sealgate_sealed_total", level=outcome.level, reason=outcome.reason)
        if outcome.restored:
            context.metrics.count("sealgate_restored_total")
        context.log.info(
            "prepared",
            job=job.id,
            instance=job.pseudonym,
            action=job.action,
            seal_level=outcome.level,
            reason=outcome.reason,
            ms=round(seconds * 1000, 1),
        )
        context.prepared.notify()

    def _fail(self, job: Job, failure: Failure) -> None:
        context, queue = self._context, self._context.config.queue
        context.metrics.count("sealgate_failures_total", step="prepare", code=failure.code)
        if failure.code == SpoolCorrupt.code:
            context.metrics.count("sealgate_spool_corrupt_total", step="prepare")
        if failure.retry and job.attempts + 1 < queue.attempts:
            wait_s = delay_s(job.attempts + 1, first_s=queue.backoff_s, most_s=queue.backoff_max_s)
            context.queue.retry(self.name, job, delay_s=wait_s, reason=failure.code, hint=failure.hint)
            context.log.warning("prepare again", job=job.id, code=failure.code, problem=failure.text)
            return
        self._give_up(job, failure)

    def _give_up(self, job: Job, failure: Failure) -> None:
        """No further attempt: put aside, or sent on with a mark where the configuration prefers that."""
        refused = failure.code == AlreadySealed.code  # by policy: not to be sent, with a mark or without
        if refused or not self._may_be_marked(job):
            self._put_aside(job, failure)
            return
        try:
            unmarkable = self._forward_marked(job, failure.code)
        except WorkerDied:
            unmarkable = failure
        if unmarkable is not None:
            self._put_aside(job, failure)

    def _do_without(self, job: Job) -> None:
        """No worker process can be started, for which the object is not to blame: it waits, or goes on marked."""
        context, trouble = self._context, self.trouble
        assert trouble is not None
        if self._may_be_marked(job):
            try:
                unmarkable = self._forward_marked(job, trouble.code)
            except WorkerDied as error:
                self._died(job, error)
                return
            if unmarkable is not None:
                self._put_aside(job, unmarkable)
            return
        wait_s = min(WAITING_S, context.config.queue.backoff_max_s)
        context.queue.retry(
            self.name, job, delay_s=wait_s, reason=trouble.code, hint=trouble.hint, counted=False
        )

    def _may_be_marked(self, job: Job) -> bool:
        return job.action == "seal" and self._context.config.impossible(job.route_key) == "forward-marked"

    def _forward_marked(self, job: Job, code: str) -> Failure | None:
        """Why not even a mark can be written into it. Raises WorkerDied, ResourceError."""
        task = Task(action="mark", path=job.incoming, warning=f"{NOT_SEALED}: {code}")
        process = self._process if self.trouble is None else self._marker
        outcome, seconds = process.run(task, timeout_s=self._context.config.limits.seal_timeout_s)
        if outcome.failure is None:
            self._finish(job, outcome, seconds)
        return outcome.failure

    def _died(self, job: Job, error: WorkerDied) -> None:
        context, queue = self._context, self._context.config.queue
        context.metrics.count("sealgate_failures_total", step="prepare", code=error.code)
        if job.deaths + 1 >= DEATHS_MAX:
            self._give_up(job, Failure(code=error.code, text=str(error), hint=error.hint, retry=False))
            return
        wait_s = delay_s(job.deaths + 1, first_s=queue.backoff_s, most_s=queue.backoff_max_s)
        context.queue.retry(
            self.name,
            job,
            delay_s=wait_s,
            reason=error.code,
            hint=error.hint,
            counted=False,
            died=True,
        )
        context.log.error("worker died", job=job.id, instance=job.pseudonym, deaths=job.deaths + 1)

    def _put_aside(self, job: Job, failure: Failure) -> None:
        """Quarantined and parked: kept, not sent, waiting for a person."""
        context = self._context
        try:
            Quarantine(context.config.gateway.data_dir).put(context.spool, job.incoming, _note(job, failure))
        except ResourceError as error:  # the spool still holds it; only the second name is missing
            context.log.error("not in quarantine", job=job.id, problem=str(error))
        context.queue.park(self.name, job, reason=failure.code, hint=failure.hint)
        context.metrics.count("sealgate_quarantined_total", reason=failure.code)
        context.metrics.count("sealgate_parked_total", step="prepare", code=failure.code)
        context.log.error(
            "quarantined",
            job=job.id,
            instance=job.pseudonym,
            action=job.action,
            code=failure.code,
            problem=failure.text,
            file=job.incoming,
        )


def _note(job: Job, failure: Failure) -> Note:
    return Note(
        reason=failure.code,
        hint=failure.hint,
        at=time.time(),
        instance=job.pseudonym,
        called=job.called,
        calling=job.calling,
        action=job.action,
        job=job.id,
    )


def start_processes(preparers: list[Preparer]) -> GatewayError | None:
    """Side by side, and without their threads. The trouble of one that could not be started."""
    starters = [threading.Thread(target=preparer.start_process, daemon=True) for preparer in preparers]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    return next((preparer.trouble for preparer in preparers if preparer.trouble is not None), None)
