"""Brings what was sealed from the queue into the ledger, a batch at a time, and has it signed.

An entry is put into the queue in the transaction that makes its object ready to be delivered. Here it moves on, exactly
once: it is durable in the ledger before the queue forgets it, and one that both have is known again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.errors import GatewayError
from gateway.ledger.folder import CHECKPOINT, FOLDER, LedgerFolder
from gateway.ledger.writing import BATCH_MAX, LedgerWriter
from gateway.observe import Log, Metrics
from gateway.queue import Queue

# Seconds from one look for new entries to the next.
KEEP_S = 2.0
# Seconds after the ledger failed.
TROUBLE_S = 30.0
# Signs the text of a checkpoint. Returns the note, and the verifier key of the signer. Raises GatewayError.
Sign = Callable[[bytes], tuple[bytes, str]]


class LedgerKeeper:
    """For several threads: one of them works, the others go on. Trouble is logged and never stops sealing."""

    def __init__(
        self,
        data_dir: Path,
        *,
        queue: Queue,
        gateway_id: str,
        metrics: Metrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds that only grow."""
        self._path = data_dir / FOLDER
        self._queue, self._gateway_id = queue, gateway_id
        self._metrics, self._log, self._clock = metrics, log, clock
        self._lock = threading.Lock()
        self._writer: LedgerWriter | None = None
        self._due_at = 0.0
        self._trouble: str | None = None

    @property
    def folder(self) -> Path:
        return self._path

    def keep(self, sign: Sign, *, at_once: bool = False) -> None:
        """Do what is due: add entries, sign a checkpoint. Returns at once while another thread is at it.

        at_once: also before it is time.
        """
        if not at_once and self._clock() < self._due_at:
            return
        if not self._lock.acquire(blocking=at_once):
            return
        try:
            self._keep(sign)
            self._due_at = self._clock() + KEEP_S
            if self._trouble is not None:
                self._log.info("ledger again")
                self._trouble = None
        except GatewayError as error:
            self._failed(error)
        finally:
            self._lock.release()

    def checkpoint_age_s(self) -> float:
        """Seconds since the last checkpoint was written; 0 before the first."""
        try:
            return max(0.0, time.time() - (self._path / CHECKPOINT).stat().st_mtime)
        except OSError:
            return 0.0

    def close(self) -> None:
        with self._lock:
            self._drop_writer()

    def _keep(self, sign: Sign) -> None:
        """Raises GatewayError."""
        rows = self._queue.unlogged(limit=BATCH_MAX)
        # Where nothing is ever sealed there is no ledger, and perhaps nobody who could sign it.
        if not rows and not LedgerFolder(self._path).exists:
            return
        if self._writer is None:
            self._writer = LedgerWriter(self._path, gateway_id=self._gateway_id)
        writer = self._writer
        while rows:
            # The last crash may have come after the ledger had them, and before the queue forgot them.
            writer.append([row.entry for row in rows if not writer.has(row.entry)])
            self._queue.logged([row.id for row in rows])
            rows = self._queue.unlogged(limit=BATCH_MAX)
        self._metrics.set("sealgate_ledger_entries", writer.size)
        due = writer.due()
        if due is not None:
            writer.keep(*sign(due.text))

    def _failed(self, error: GatewayError) -> None:
        self._drop_writer()
        self._due_at = self._clock() + TROUBLE_S
        self._metrics.count("sealgate_failures_total", step="ledger", code=error.code)
        if self._trouble != str(error):
            self._log.error("ledger not written", code=error.code, problem=str(error), hint=error.hint)
            self._trouble = str(error)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
