"""What is done from time to time: leases, failover, retention, forgetting, cleaning."""

from __future__ import annotations

import time

from gateway.errors import GatewayError
from gateway.runtime import malloc
from gateway.service import reconcile
from gateway.service.assembly import Parts
from gateway.work.failover import fail_over

RETAIN_INTERVAL_S = 30.0
CLEAN_INTERVAL_S = 600.0


class Housekeeping:
    """Call `keep` every few seconds, from one thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cleaned_at = time.monotonic()
        # The first call retains at once.
        self._retained_at = -RETAIN_INTERVAL_S

    def keep(self) -> None:
        """Do what is due. Trouble is logged, and what could not be done is done another time."""
        clean = time.monotonic() - self._cleaned_at > CLEAN_INTERVAL_S
        try:
            self._parts.access_log.flush()
            self._expire()
            self._retain()
            if clean:
                self._clean()
        except GatewayError as error:
            self._parts.log.error("housekeeping failed", code=error.code, problem=str(error))
        if clean:
            self._cleaned_at = time.monotonic()

    def _expire(self) -> None:
        """Jobs of silent workers go back, and deliveries to silent destinations get another one."""
        parts = self._parts
        expired = parts.queue.expire()
        if expired:
            parts.log.warning("leases expired", jobs=expired)
        if fail_over(parts.config, parts.queue, parts.metrics, parts.log):
            parts.prepared.notify()

    def _retain(self) -> None:
        """Of the files that are kept after delivery, the oldest go. At once when the disk has no room."""
        parts = self._parts
        if time.monotonic() - self._retained_at <= RETAIN_INTERVAL_S and parts.spool.has_room():
            return
        settings = parts.config.queue
        kept_bytes = reconcile.retain(
            parts.queue, parts.spool, keep_hours=settings.keep_hours, keep_bytes=settings.keep_bytes
        )
        parts.metrics.set("sealgate_spool_kept_bytes", kept_bytes)
        self._retained_at = time.monotonic()

    def _clean(self) -> None:
        """What nobody needs any more: old instances of the queue, ended requests, orphaned files, freed memory."""
        parts, remember_hours = self._parts, self._parts.config.queue.remember_hours
        reconcile.forget(parts.queue, remember_hours=remember_hours)
        parts.commitments.forget(ended_before=time.time() - remember_hours * 3600)
        reconcile.remove_orphans(parts.queue, parts.spool)
        malloc.trim()
