"""`sealgate serve --bypass`: what waits to be sealed, verified or restored is sent as it came, loudly."""

from __future__ import annotations

import threading
import time

from gateway.observe import log_error
from gateway.queue import Prepared, Step
from gateway.runtime.loop import Next, WorkLoop
from gateway.work.context import LOOK_AGAIN_S, TROUBLE_PAUSE_S, WorkContext

CLAIM_MAX = 64
TELL_S = 60.0
NOTICE = "bypass: nothing is sealed, verified or restored"
OUTCOME = Prepared(outgoing=None, level="pass", reason="bypass")  # as the ledger remembers it


class Bypass(threading.Thread):
    """Takes the place of the preparers. Needs neither keys nor networks."""

    def __init__(self, context: WorkContext, *, tell_s: float = TELL_S) -> None:
        super().__init__(name="bypass", daemon=True)
        self._context, self._tell_s = context, tell_s
        self._passed, self._told_at = 0, 0.0
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
        self._tell()
        return Next.AGAIN if self._work_off() else Next.WAIT

    def _tell(self) -> None:
        """At once, then every minute."""
        if self._told_at and time.monotonic() - self._told_at < self._tell_s:
            return
        self._told_at = time.monotonic()
        hint = "Restart without --bypass to seal again."
        self._context.log.warning(NOTICE, passed=self._passed, hint=hint)

    def _work_off(self) -> int:
        """How many were let through. Raises ResourceError."""
        context = self._context
        jobs = context.queue.claim(
            self.name, step=Step.PREPARE, limit=CLAIM_MAX, lease_s=context.config.queue.lease_s
        )
        for job in jobs:
            if not context.queue.prepared(self.name, job, OUTCOME):
                continue
            self._passed += 1
            if job.action == "seal":
                context.metrics.count("sealgate_sealed_total", level=OUTCOME.level, reason=OUTCOME.reason)
            context.log.warning("bypassed", job=job.id, instance=job.pseudonym, action=job.action)
        if jobs:
            context.prepared.notify()
        return len(jobs)
