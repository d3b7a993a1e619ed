"""Has an authority stamp the checkpoints of the ledger from time to time (RFC 3161)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gateway.config import LedgerSettings
from gateway.errors import GatewayError
from gateway.ledger.folder import FOLDER, LedgerFolder
from gateway.ledger.writing import keep_stamp
from gateway.observe import log_error
from gateway.runtime.loop import Next, WorkLoop
from gateway.runtime.wakeup import Wakeup
from gateway.work.context import WorkContext
from gateway.work.time_stamping import TimeStamper

# Seconds from one look for a checkpoint to be stamped to the next; also after the authority failed.
LOOK_S = 60.0
HOUR_S = 3600.0


class LedgerStamper(threading.Thread):
    """One thread, because an authority may take its time."""

    def __init__(
        self,
        settings: LedgerSettings,
        context: WorkContext,
        *,
        clock: Callable[[], float] = time.time,
        look_s: float = LOOK_S,
    ) -> None:
        """settings: with a time_stamp. clock: Unix seconds."""
        super().__init__(name="ledger-stamper", daemon=True)
        self._settings, self._context, self._clock = settings, context, clock
        self._ledger = LedgerFolder(context.config.gateway.data_dir / FOLDER)
        self._stamper: TimeStamper | None = None
        self._loop = WorkLoop(
            Wakeup(), wait_s=look_s, pause_s=look_s, on_error=log_error(context.log, "ledger not stamped")
        )

    def stop(self) -> None:
        self._loop.stop()

    def run(self) -> None:
        self._loop.run(self._turn)

    def _turn(self) -> Next:
        """Raises GatewayError."""
        try:
            self.stamp()
        except GatewayError as error:
            self._context.metrics.count("sealgate_failures_total", step="ledger-stamp", code=error.code)
            raise
        return Next.WAIT

    def stamp(self) -> bool:
        """Stamp the newest checkpoint, if it is time and there is something new in it. Returns whether it was.

        Raises TimeStampFailed, KeyFileError, ResourceError.
        """
        assert self._settings.time_stamp is not None
        signed = self._ledger.checkpoint()
        last = self._ledger.last_stamp()
        if signed is None or (last is not None and last.size >= signed.checkpoint.size):
            return False
        if last is not None and self._clock() - last.made_at < self._settings.time_stamp_hours * HOUR_S:
            return False
        if self._stamper is None:
            self._stamper = TimeStamper.of(self._settings.time_stamp)
        keep_stamp(self._ledger.path, signed, self._stamper.stamp(signed.note))
        self._context.metrics.count("sealgate_ledger_stamps_total")
        self._context.log.info("ledger stamped", entries=signed.checkpoint.size)
        return True
