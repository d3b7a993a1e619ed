"""`sealgate serve --bypass`: objects are sent as they came, and the log says so again and again."""

from __future__ import annotations

import threading
import time

from gateway.observe import log_error
from gateway.queue import Prepared, Step
from gateway.runtime.loop import Next, WorkLoop
from gateway.work.context import LOOK_AGAIN_S, TROUBLE_PAUSE_S, WorkContext

CLAIM_MAX = 64
# Seconds between two reminders in the log.
TELL_S = 60.0
NOTICE = "bypass: nothing is sealed, verified or restored"
NOT_RELEASED = "Nothing is released while the gateway runs with --bypass."
# What the queue remembers of each object.
OUTCOME = Prepared(outgoing=None, level="pass", reason="bypass")


class Bypass(threading.Thread):
    """Takes the place of the preparers, and lets every object pass. Needs neither keys nor networks.

    Objects to be released wait: nobody would take the record out of their pixels.
    """

    def __init__(self, context: WorkContext, *, tell_s: float = TELL_S) -> None:
        """tell_s: seconds between two reminders in the log."""
        super().__init__(name="bypass", daemon=True)
        self._context, self._tell_s = context, tell_s
        self._passed, self._reminded_at = 0, 0.0
        self._loop = WorkLoop(
            context.arrived,
            wait_s=LOOK_AGAIN_S,
            pause_s=TROUBLE_PAUSE_S,
            on_error=log_error(context.log, "bypass interrupted"),
        )

    def stop(self) -> None:
        self._loop.stop()

    def run(self) -> None:
        self._loop.run(self._turn)

    def _turn(self) -> Next:
        self._remind()
        return Next.AGAIN if self._work_off() else Next.WAIT

    def _remind(self) -> None:
        """Log that nothing is sealed: at the first turn, then every `tell_s`."""
        if self._reminded_at and time.monotonic() - self._reminded_at < self._tell_s:
            return
        self._reminded_at = time.monotonic()
        hint = "Restart without --bypass to seal again."
        self._context.log.warning(NOTICE, passed=self._passed, hint=hint)

    def _work_off(self) -> int:
        """The number of jobs that were claimed. Raises ResourceError."""
        context = self._context
        jobs = context.queue.claim(
            self.name, step=Step.PREPARE, limit=CLAIM_MAX, lease_s=context.config.queue.lease_s
        )
        for job in jobs:
            if job.action == "release":
                # Untouched, it would carry its patient out of the house.
                context.queue.retry(
                    self.name, job, delay_s=TELL_S, reason="bypass", hint=NOT_RELEASED, counted=False
                )
                continue
            if not context.queue.prepared(self.name, job, OUTCOME):
                continue
            self._passed += 1
            if job.action == "seal":
                context.metrics.count("sealgate_sealed_total", level=OUTCOME.level, reason=OUTCOME.reason)
            context.log.warning("bypassed", job=job.id, instance=job.pseudonym, action=job.action)
        if jobs:
            context.prepared.notify()
        return len(jobs)
