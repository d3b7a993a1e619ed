"""What the threads of the service share."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Config
from gateway.observe import Log, Metrics
from gateway.queue import Queue
from gateway.runtime.wakeup import Wakeup
from gateway.spool import Spool
from gateway.work.ledger_keeping import LedgerKeeper

# Seconds between two looks for work that nobody told of, such as a job whose next attempt is due.
LOOK_AGAIN_S = 1.0
# Seconds after the queue, the spool or the start of a process failed.
TROUBLE_PAUSE_S = 2.0


@dataclass(frozen=True)
class WorkContext:
    """The parts that all threads of the service use.

    arrived: notified when there are new prepare jobs.
    prepared: notified when there are new deliver jobs.
    gateway_id: by which this gateway knows itself in associations.
    ledger: writes down what was sealed.
    """

    config: Config
    queue: Queue
    spool: Spool
    metrics: Metrics
    log: Log
    arrived: Wakeup
    prepared: Wakeup
    gateway_id: str = ""
    ledger: LedgerKeeper | None = None
