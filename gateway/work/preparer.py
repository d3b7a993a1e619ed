"""Claims prepare jobs, and has a worker process do them."""

from __future__ import annotations

import threading

from gateway.errors import GatewayError, WorkerDied
from gateway.observe import log_error
from gateway.queue import Job, Step
from gateway.runtime.loop import Next, WorkLoop
from gateway.work.context import LOOK_AGAIN_S, TROUBLE_PAUSE_S, WorkContext
from gateway.work.settling import Settlement
from gateway.work.supervision import SupervisedWorker
from gateway.work.tasks import Failure, ReleaseTask, SealTask, VerifyTask

# Jobs that a preparer claims at once; few, so that all preparers have something to do.
CLAIM_MAX = 2


class Preparer(threading.Thread):
    """One worker process and the thread that feeds it."""

    def __init__(self, number: int, context: WorkContext) -> None:
        super().__init__(name=f"prepare-{number}", daemon=True)
        self._context = context
        self._worker = SupervisedWorker(context)
        self._settlement = Settlement(self.name, context, self._worker.mark)
        self._marks = any(
            context.config.impossible(route.key) == "forward-marked"
            for route in context.config.route
            if route.action == "seal"
        )
        self._lease_s = context.config.queue.lease_s + context.config.limits.seal_timeout_s
        self._loop = WorkLoop(
            context.arrived,
            wait_s=LOOK_AGAIN_S,
            pause_s=TROUBLE_PAUSE_S,
            on_error=log_error(context.log, "preparing interrupted"),
        )

    @property
    def worker_pid(self) -> int | None:
        return self._worker.pid

    @property
    def trouble(self) -> GatewayError | None:
        """Why no worker process could be started, None when it could."""
        return self._worker.trouble

    def start_process(self) -> bool:
        """Whether it runs now; if not, `trouble` says why, and the thread tries again later."""
        return self._worker.start()

    def stop(self) -> None:
        """After the object in hand. The other jobs that were claimed are given back."""
        self._loop.stop()

    def cut_off(self) -> None:
        """After `stop`, when the object takes too long: the process is killed and the job given back."""
        self._worker.kill()

    def abandon(self) -> None:
        """End a process that was started without its thread."""
        self._worker.stop()

    def run(self) -> None:
        self._loop.run(self._turn)
        self._keep_ledger(at_once=True)
        self._worker.stop()

    def _turn(self) -> Next:
        """Raises GatewayError; the jobs are given back, by us or when their leases end."""
        if not self._worker.ready() and not self._marks:
            # What waits is left as it is.
            return Next.REST
        jobs = self._context.queue.claim(self.name, step=Step.PREPARE, limit=CLAIM_MAX, lease_s=self._lease_s)
        if jobs:
            self._work_off(jobs)
        self._keep_ledger()
        return Next.AGAIN if jobs else Next.WAIT

    def _keep_ledger(self, *, at_once: bool = False) -> None:
        if self._context.ledger is not None and self._worker.is_started:
            self._context.ledger.keep(self._worker.sign, at_once=at_once)

    def _work_off(self, jobs: list[Job]) -> None:
        queue = self._context.queue
        for position, job in enumerate(jobs):
            if self._loop.is_stopping:
                queue.give_back(self.name, jobs[position:])
                return
            if position:
                queue.extend(self.name, [left.id for left in jobs[position:]], lease_s=self._lease_s)
            try:
                self._prepare(job)
            except Exception:
                # Not the object's fault: the worker can't be started, or the outcome can't be written down.
                queue.give_back(self.name, jobs[position:])
                raise

    def _prepare(self, job: Job) -> None:
        context = self._context
        if not self._worker.ready():
            trouble = self._worker.trouble
            assert trouble is not None
            self._settlement.no_worker(job, trouble)
            return
        try:
            result, seconds = self._worker.run(task_for(job))
        except WorkerDied as error:
            if self._loop.is_stopping:  # we may have killed it ourselves
                context.queue.give_back(self.name, [job])
                return
            context.metrics.count("sealgate_worker_deaths_total")
            self._settlement.worker_died(job, error)
            return
        context.metrics.time("sealgate_prepare_seconds", seconds, action=job.action)
        if result.verdict is not None:
            context.metrics.count("sealgate_verdicts_total", verdict=result.verdict)
        if isinstance(result, Failure):
            self._settlement.failed(job, result)
        else:
            self._settlement.done(job, result, seconds)


def task_for(job: Job) -> SealTask | VerifyTask | ReleaseTask:
    """The task of a prepare job. Its action is one of the words of Route.action, except `pass`."""
    if job.action == "seal":
        return SealTask(object_name=job.incoming)
    if job.action == "release":
        return ReleaseTask(object_name=job.incoming)
    return VerifyTask(
        object_name=job.incoming, restores=job.action == "restore", marks_failing=job.on_failure == "mark"
    )


def start_processes(preparers: list[Preparer]) -> GatewayError | None:
    """Start the processes side by side, without their threads. Returns the trouble of one that could not start."""
    starters = [threading.Thread(target=preparer.start_process, daemon=True) for preparer in preparers]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    return next((preparer.trouble for preparer in preparers if preparer.trouble is not None), None)
