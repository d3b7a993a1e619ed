"""What becomes of a prepare job: done, tried again, sent on with a mark, or put aside for a person."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.errors import AlreadySealed, GatewayError, ResourceError, SpoolCorrupt, WorkerDied
from gateway.queue import Job, Prepared
from gateway.runtime.backoff import delay_s
from gateway.spool.quarantine import Note, Quarantine
from gateway.work.context import WorkContext
from gateway.work.tasks import Failure, MarkTask, Outcome

# An object that ended so many worker processes gets no other.
DEATHS_MAX = 3
# Seconds that an object waits for a worker process, before its turn comes again.
WAITING_S = 60.0
NOT_SEALED = "not sealed"


class Settlement:
    """Writes down what became of the jobs of one preparer.

    All methods raise ResourceError when that can't be written down. The job then goes back to the queue.
    """

    def __init__(
        self,
        worker: str,
        context: WorkContext,
        mark: Callable[[MarkTask], tuple[Outcome | Failure, float]],
    ) -> None:
        """worker: the name that the jobs are leased under.
        mark: does the task, and returns what came of it and the seconds. Raises WorkerDied, ResourceError.
        """
        self._worker = worker
        self._context = context
        self._mark = mark

    def done(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """The object may be delivered."""
        context = self._context
        prepared = Prepared(
            outgoing=outcome.outgoing,
            level=outcome.level,
            reason=outcome.reason,
            ledger_entry=outcome.ledger_entry,
        )
        if not context.queue.prepared(self._worker, job, prepared):
            # Another worker was given the job.
            context.spool.remove([outcome.outgoing] if outcome.outgoing else [])
            return
        if job.action == "seal":
            context.metrics.count("sealgate_sealed_total", level=outcome.level, reason=outcome.reason)
        if job.action == "release":
            context.metrics.count("sealgate_released_total", reason=outcome.reason)
        if outcome.signature:
            context.metrics.count("sealgate_standard_signatures_total", outcome=outcome.signature)
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
            **({"standard_signature": outcome.signature} if outcome.signature else {}),
        )
        if outcome.signature_problem:
            context.log.warning("no time stamp", job=job.id, problem=outcome.signature_problem)
        context.prepared.notify()

    def failed(self, job: Job, failure: Failure) -> None:
        """The task failed: it is tried again, or given up."""
        context, queue = self._context, self._context.config.queue
        context.metrics.count("sealgate_failures_total", step="prepare", code=failure.code)
        if failure.code == SpoolCorrupt.code:
            context.metrics.count("sealgate_spool_corrupt_total", step="prepare")
        if failure.retry and job.attempts + 1 < queue.attempts:
            wait_s = delay_s(job.attempts + 1, first_s=queue.backoff_s, most_s=queue.backoff_max_s)
            context.queue.retry(self._worker, job, delay_s=wait_s, reason=failure.code, hint=failure.hint)
            context.log.warning("prepare again", job=job.id, code=failure.code, problem=failure.text)
            return
        self._give_up(job, failure)

    def worker_died(self, job: Job, error: WorkerDied) -> None:
        """The worker process ended during the task: it is tried again, or given up."""
        context, queue = self._context, self._context.config.queue
        context.metrics.count("sealgate_failures_total", step="prepare", code=error.code)
        if job.deaths + 1 >= DEATHS_MAX:
            self._give_up(job, Failure(code=error.code, text=str(error), hint=error.hint, retry=False))
            return
        wait_s = delay_s(job.deaths + 1, first_s=queue.backoff_s, most_s=queue.backoff_max_s)
        context.queue.retry(
            self._worker,
            job,
            delay_s=wait_s,
            reason=error.code,
            hint=error.hint,
            counted=False,
            died=True,
        )
        context.log.error("worker died", job=job.id, instance=job.pseudonym, deaths=job.deaths + 1)

    def no_worker(self, job: Job, trouble: GatewayError) -> None:
        """No worker process can be started, for which the object is not to blame: it waits, or goes on marked."""
        context = self._context
        if self._may_be_marked(job):
            try:
                failure = self._forward_marked(job, trouble.code)
            except WorkerDied as error:
                self.worker_died(job, error)
                return
            if failure is not None:
                self._put_aside(job, failure)
            return
        wait_s = min(WAITING_S, context.config.queue.backoff_max_s)
        context.queue.retry(
            self._worker, job, delay_s=wait_s, reason=trouble.code, hint=trouble.hint, counted=False
        )

    def _give_up(self, job: Job, failure: Failure) -> None:
        """No further attempt: put aside, or sent on with a mark where the configuration prefers that."""
        # An object that the policy refuses is not sent, with a mark or without.
        refused = failure.code == AlreadySealed.code
        if refused or not self._may_be_marked(job):
            self._put_aside(job, failure)
            return
        try:
            is_marked = self._forward_marked(job, failure.code) is None
        except WorkerDied:
            is_marked = False
        if not is_marked:
            self._put_aside(job, failure)

    def _may_be_marked(self, job: Job) -> bool:
        return job.action == "seal" and self._context.config.impossible(job.route_key) == "forward-marked"

    def _forward_marked(self, job: Job, code: str) -> Failure | None:
        """None when the object goes on with a mark; else why the mark could not be written.

        Raises WorkerDied, ResourceError.
        """
        result, seconds = self._mark(MarkTask(object_name=job.incoming, warning=f"{NOT_SEALED}: {code}"))
        if isinstance(result, Failure):
            return result
        self.done(job, result, seconds)
        return None

    def _put_aside(self, job: Job, failure: Failure) -> None:
        """Quarantined and parked: kept, not sent, waiting for a person."""
        context = self._context
        try:
            Quarantine(context.config.gateway.data_dir).put(context.spool, job.incoming, _note(job, failure))
        except ResourceError as error:  # the spool still holds it; only the second name is missing
            context.log.error("not in quarantine", job=job.id, problem=str(error))
        context.queue.park(self._worker, job, reason=failure.code, hint=failure.hint)
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
