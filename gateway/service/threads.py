"""The threads that do the work: preparers, deliverers, bypass, reporter, stamper. Started, stopped, cut off."""

from __future__ import annotations

import os
import time

from gateway.commitment.reporter import Reporter
from gateway.errors import GatewayError
from gateway.service import assembly
from gateway.service.assembly import Parts
from gateway.work.bypass import Bypass
from gateway.work.deliverer import Deliverer, deliverers
from gateway.work.ledger_stamping import LedgerStamper
from gateway.work.preparer import Preparer, start_processes

# Seconds for a thread to notice that its process was killed.
CUT_OFF_S = 5.0


class WorkerThreads:
    """The threads for the configuration in force. A reload stops them all and starts new ones."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._preparers: list[Preparer] = []
        self._others: list[Bypass | Deliverer | Reporter | LedgerStamper] = []

    @property
    def preparers(self) -> int:
        """How many there are."""
        return len(self._preparers)

    def troubles(self) -> list[GatewayError]:
        """For each preparer whose worker process could not be started, the reason."""
        return [preparer.trouble for preparer in self._preparers if preparer.trouble is not None]

    def are_alive(self) -> bool:
        """False when one of them ended, which only a defect can do."""
        return all(thread.is_alive() for thread in self._all())

    def start_processes(self) -> GatewayError | None:
        """Make preparers and start their worker processes, not yet their threads.

        Returns the trouble of one that could not be started. Its thread will try again.
        """
        config = self._parts.config
        self._preparers = []
        if not self._parts.bypass and any(route.action != "pass" for route in config.route):
            count = config.gateway.workers or os.cpu_count() or 1
            context = assembly.work_context(self._parts)
            self._preparers = [Preparer(number, context) for number in range(count)]
        return start_processes(self._preparers)

    def abandon_processes(self) -> None:
        """End what `start_processes` started."""
        for preparer in self._preparers:
            preparer.abandon()

    def start(self) -> None:
        """Start all threads, those of the preparers that have processes among them."""
        parts, context = self._parts, assembly.work_context(self._parts)
        bypasses = [Bypass(context)] if parts.bypass else []
        settings = parts.config.ledger
        stampers = [LedgerStamper(settings, context)] if settings.enabled and settings.time_stamp else []
        self._others = [*bypasses, *deliverers(context), assembly.reporter(parts), *stampers]
        for thread in self._all():
            thread.start()
        gone = {depth.destination for depth in parts.queue.depth()} - {""}
        gone -= {destination.name for destination in parts.config.destination}
        if gone:
            parts.log.warning(
                "jobs for destinations that are not configured any more", destinations=sorted(gone)
            )

    def stop(self) -> None:
        """Each finishes the object in hand, as long as `drain_s` allows. What is cut off goes back to the queue."""
        for thread in self._all():
            thread.stop()
        deadline = time.monotonic() + self._parts.config.limits.drain_s
        for thread in self._all():
            if thread.is_alive():
                thread.join(max(0.1, deadline - time.monotonic()))
        for preparer in self._preparers:
            if preparer.is_alive():
                preparer.cut_off()
                preparer.join(CUT_OFF_S)
        self._preparers, self._others = [], []

    def _all(self) -> list[Preparer | Bypass | Deliverer | Reporter | LedgerStamper]:
        return [*self._preparers, *self._others]
