"""Claims deliver jobs of one destination and sends them on one association, several objects each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from gateway.config import Destination, Limits, QueueSettings
from gateway.config.hours import is_open
from gateway.dicom.file_meta import unwrap
from gateway.dimse.bandwidth import RateLimit
from gateway.dimse.requestor import Requestor
from gateway.dimse.store_scu import StoreScu
from gateway.errors import GatewayError, PeerUnreachable, SpoolCorrupt
from gateway.observe import log_error, where
from gateway.queue import Job, State, Step
from gateway.runtime.backoff import delay_s
from gateway.runtime.loop import Next, WorkLoop
from gateway.work.context import LOOK_AGAIN_S, TROUBLE_PAUSE_S, WorkContext
from gateway.work.conversion import Converter

# More ready jobs than so many claims take are a backlog.
BACKLOG_CLAIMS = 2
# Seconds between attempts to reach a destination that is down.
BREAK_MAX_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How one destination is served.

    attempts: for one object, 1 or more.
    backoff_s: before the second attempt, seconds; then doubled.
    backoff_max_s: the longest time between two attempts, seconds.
    slowest_bytes_s: the rate below which an association is given up; leases last as long as an object takes at it.
    """

    attempts: int
    backoff_s: float
    backoff_max_s: float
    slowest_bytes_s: float

    @classmethod
    def of(cls, destination: Destination, queue: QueueSettings, limits: Limits) -> Terms:
        """The destination's own settings; where it has none, those of [queue]."""
        return cls(
            attempts=destination.attempts or queue.attempts,
            backoff_s=destination.backoff_s or queue.backoff_s,
            backoff_max_s=destination.backoff_max_s or queue.backoff_max_s,
            slowest_bytes_s=destination.slowest_bytes_s(limits),
        )


def deliverers(context: WorkContext) -> list[Deliverer]:
    """The threads for all configured destinations. They are not started yet."""
    threads = []
    for destination in context.config.destination:
        rate_limit = RateLimit(destination.bandwidth_bytes_s) if destination.bandwidth_bytes_s else None
        converter = Converter(context.config, context.spool, users=destination.associations)
        threads += [
            Deliverer(destination, number, context, converter=converter, rate_limit=rate_limit)
            for number in range(destination.associations)
        ]
    return threads


class Deliverer(threading.Thread):
    """Delivers to one destination, on one association.

    Number 0 always works. The others help while there is a backlog. Before its association is open, a deliverer claims
    only one job: some peers accept fewer associations than we open and let the others wait, and the claimed jobs would
    wait with them.
    """

    def __init__(
        self,
        destination: Destination,
        number: int,
        context: WorkContext,
        *,
        converter: Converter,
        rate_limit: RateLimit | None = None,
    ) -> None:
        """number: among the deliverers of this destination, from 0.
        converter: shared by all deliverers of this destination.
        rate_limit: shared by all deliverers of this destination; None: no limit.
        """
        super().__init__(name=f"deliver-{destination.name}-{number}", daemon=True)
        self._destination = destination
        self._terms = Terms.of(destination, context.config.queue, context.config.limits)
        self._context, self._converter = context, converter
        self._requestor = Requestor(
            destination,
            context.config.limits,
            calling=context.config.listener.ae_title,
            gateway_id=context.gateway_id,
            on_gateway=lambda gateway: context.queue.answered_by(destination.name, gateway),
        )
        self._store_scu = StoreScu(self._requestor, rate_limit=rate_limit)
        self._helps_only = number > 0
        self._loop = WorkLoop(
            context.prepared,
            wait_s=LOOK_AGAIN_S,
            pause_s=TROUBLE_PAUSE_S,
            on_error=self._interrupted,
        )
        self._used_at = time.monotonic()
        # Attempts in a row to reach the destination that failed.
        self._unreachable = 0

    def stop(self) -> None:
        """After the object in hand. The other jobs that were claimed are given back."""
        self._loop.stop()

    def run(self) -> None:
        self._loop.run(self._turn)
        self._requestor.close()
        self._converter.leave()

    def _turn(self) -> Next:
        """Raises ResourceError; the leases then give the jobs back."""
        jobs = self._claim()
        if jobs:
            self._work_off(jobs)
            self._used_at = time.monotonic()
            return Next.AGAIN
        idle_s = time.monotonic() - self._used_at
        if self._requestor.is_open and idle_s > self._context.config.limits.idle_release_s:
            self._requestor.close()
            return Next.AGAIN
        # A helper is not woken by each object: counting a backlog costs time.
        return Next.REST if self._helps_only else Next.WAIT

    def _interrupted(self, error: Exception) -> None:
        log_error(self._context.log, "delivering interrupted")(error)
        if not isinstance(error, GatewayError):
            self._requestor.abort()

    def _claim(self) -> list[Job]:
        queue, open_now = self._context.config.queue, self._requestor.is_open
        if not self._in_hours():
            return []
        if self._helps_only and not open_now and not self._backlog():
            return []
        return self._context.queue.claim(
            self.name,
            step=Step.DELIVER,
            destination=self._destination.name,
            limit=queue.batch if open_now else 1,
            lease_s=queue.lease_s,
        )

    def _in_hours(self) -> bool:
        return is_open(self._destination.hours, datetime.now().time())

    def _backlog(self) -> bool:
        """Whether more jobs are ready than one deliverer takes in a few claims."""
        ready_jobs = (
            depth.jobs
            for depth in self._context.queue.depth()
            if depth.step is Step.DELIVER
            and depth.destination == self._destination.name
            and depth.state is State.READY
        )
        return sum(ready_jobs) > BACKLOG_CLAIMS * self._context.config.queue.batch

    def _work_off(self, jobs: list[Job]) -> None:
        """Raises ResourceError when the deliveries can't be written down; the leases then give the jobs back."""
        context = self._context
        done: list[Job] = []
        try:
            for position, job in enumerate(jobs):
                if self._loop.is_stopping or (position and self._closed_to(job)):
                    context.queue.give_back(self.name, jobs[position:])
                    break
                lease_s = context.config.queue.lease_s + job.bytes / self._terms.slowest_bytes_s
                context.queue.extend(self.name, [left.id for left in jobs[position:]], lease_s=lease_s)
                try:
                    self._deliver(job)
                    done.append(job)
                except PeerUnreachable as error:
                    context.queue.give_back(self.name, jobs[position + 1 :])
                    self._flush(done)
                    self._break(job, error)
                    return
                except GatewayError as error:
                    self._failed(job, error)
                except Exception as error:  # noqa: BLE001 - reported and counted; one object must not stop all
                    self._requestor.abort()
                    self._failed(job, UnexpectedFailure(where(error)))
        finally:
            self._flush(done)

    def _closed_to(self, job: Job) -> bool:
        """Whether, since the claim, people paused the destination, its hours ended, or a more urgent job came."""
        name, queue = self._destination.name, self._context.queue
        return not self._in_hours() or queue.paused(name) or queue.overtaken(name, priority=job.priority)

    def _deliver(self, job: Job) -> None:
        """Raises GatewayError."""
        context, started = self._context, time.monotonic()
        object_name = job.outgoing or job.incoming
        with context.spool.open(object_name) as file:
            sent = self._store_scu.send(
                file, converted=partial(self._converter.converted, object_name), priority=job.priority
            )
            size = len(file) - unwrap(file).offset
        self._unreachable = 0
        name, seconds = self._destination.name, time.monotonic() - started
        context.metrics.set("sealgate_destination_up", 1, destination=name)
        context.metrics.count("sealgate_forwarded_total", destination=name)
        context.metrics.count("sealgate_forwarded_bytes_total", size, destination=name)
        context.metrics.time("sealgate_forward_seconds", seconds, destination=name)
        context.metrics.time("sealgate_delivery_seconds", time.time() - job.received_at, destination=name)
        if sent.transcoded:
            context.metrics.count("sealgate_transcoded_total", destination=name)
        context.log.info(
            "delivered",
            job=job.id,
            instance=job.pseudonym,
            destination=name,
            status=f"{sent.status:04X}",
            syntax=sent.syntax,
            transcoded=sent.transcoded,
            attempts=job.attempts + 1,
            ms=round(seconds * 1000, 1),
        )

    def _flush(self, done: list[Job]) -> None:
        """Write down that these jobs are delivered, and empty the list. Raises ResourceError."""
        if done:
            keep = self._context.config.queue.keep_hours > 0
            self._context.spool.remove(self._context.queue.delivered(self.name, done, keep=keep))
            done.clear()

    def _failed(self, job: Job, error: GatewayError) -> None:
        """The object could not be delivered: it is tried again, or parked. Raises ResourceError."""
        context, terms = self._context, self._terms
        context.metrics.count("sealgate_failures_total", step="deliver", code=error.code)
        if error.code == SpoolCorrupt.code:
            context.metrics.count("sealgate_spool_corrupt_total", step="deliver")
        fields = {
            "job": job.id,
            "instance": job.pseudonym,
            "destination": job.destination,
            "code": error.code,
        }
        if error.retry and job.attempts + 1 < terms.attempts:
            wait_s = delay_s(job.attempts + 1, first_s=terms.backoff_s, most_s=terms.backoff_max_s)
            context.queue.retry(self.name, job, delay_s=wait_s, reason=error.code, hint=error.hint)
            context.log.warning("deliver again", **fields, problem=str(error), after_s=round(wait_s, 1))
            return
        context.queue.park(self.name, job, reason=error.code, hint=f"{error}. {error.hint}".strip())
        context.metrics.count("sealgate_parked_total", step="deliver", code=error.code)
        context.log.error("parked", **fields, problem=str(error), hint=error.hint)

    def _break(self, job: Job, error: PeerUnreachable) -> None:
        """Nobody answers. The object is not to blame: its attempt does not count, and it is tried again later."""
        context, terms = self._context, self._terms
        self._unreachable += 1
        # A peer may turn a helper away and work with the others.
        if not self._helps_only:
            context.queue.unreachable(self._destination.name)
        context.queue.retry(self.name, job, delay_s=0, reason=error.code, hint=error.hint, counted=False)
        context.metrics.set("sealgate_destination_up", 0, destination=self._destination.name)
        context.metrics.count("sealgate_failures_total", step="deliver", code=error.code)
        most_s = min(BREAK_MAX_S, terms.backoff_max_s)
        wait_s = delay_s(self._unreachable, first_s=terms.backoff_s, most_s=most_s)
        context.log.warning(
            "unreachable", destination=self._destination.name, problem=str(error), hint=error.hint
        )
        self._loop.pause(wait_s)


class UnexpectedFailure(GatewayError):
    """A defect of ours became visible with an object. The text says where."""

    code = "internal"
    retry = True
    hint = "Report it with this line of the log."
