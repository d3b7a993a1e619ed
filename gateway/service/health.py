"""What /readyz and /metrics answer."""

from __future__ import annotations

import time

from gateway.errors import GatewayError
from gateway.observe.metrics import JobCount
from gateway.service.assembly import Parts
from gateway.service.threads import WorkerThreads


class Health:
    """Looks at the parts when it is asked. For several threads."""

    def __init__(self, parts: Parts, threads: WorkerThreads) -> None:
        self._parts = parts
        self._threads = threads

    def problems(self) -> list[str]:
        """Why the gateway is not ready; empty when it is."""
        problems, spool = [], self._parts.spool
        try:
            self._parts.queue.check()
        except GatewayError as error:
            problems.append(f"queue: {error.code}")
        if not spool.has_room():
            problems.append("the disk of the spool is below its watermark")
        elif not spool.writable():
            problems.append("the spool can't be written")
        troubles = self._threads.troubles()
        if troubles:
            problems.append(
                f"{len(troubles)} of {self._threads.preparers} worker processes: {troubles[0].code}"
            )
        if not self._threads.are_alive():
            problems.append("a worker thread ended")
        return problems

    def exposition(self) -> bytes:
        """The metrics in Prometheus text format, with gauges that are measured now."""
        parts, metrics, now = self._parts, self._parts.metrics, time.time()
        metrics.set_jobs(
            JobCount(
                step=depth.step.value,
                destination=depth.destination,
                state=depth.state.value,
                jobs=depth.jobs,
                age_s=max(0.0, now - depth.oldest),
            )
            for depth in parts.queue.depth()
        )
        metrics.set("sealgate_commitments_open", parts.commitments.open_requests())
        metrics.set("sealgate_ledger_unwritten", parts.queue.unlogged_count())
        metrics.set("sealgate_ledger_checkpoint_age_seconds", parts.ledger.checkpoint_age_s())
        objects, held_bytes = parts.quarantine.size()
        metrics.set("sealgate_quarantine_objects", objects)
        metrics.set("sealgate_quarantine_bytes", held_bytes)
        metrics.set("sealgate_workers_missing", len(self._threads.troubles()))
        metrics.set("sealgate_spool_free_bytes", parts.spool.free_bytes())
        for name, seconds in parts.certificates.seconds_left().items():
            metrics.set("sealgate_certificate_expiry_seconds", seconds, certificate=name)
        return metrics.exposition()
