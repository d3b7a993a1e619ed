"""When a destination does not take its objects, another destination gets them as well."""

from __future__ import annotations

from datetime import datetime

from gateway.config import Config
from gateway.config.hours import is_open
from gateway.observe import Log, Metrics
from gateway.queue import Queue


def fail_over(config: Config, queue: Queue, metrics: Metrics, log: Log) -> int:
    """Add deliveries to `destination.failover`, where a destination has one, and return how many.

    A destination outside its hours has no failover: nobody tries to reach it then.
    Raises ResourceError.
    """
    added = 0
    for destination in config.destination:
        if destination.failover is None or not is_open(destination.hours, datetime.now().time()):
            continue
        after_s = destination.failover_after_s
        jobs = queue.fail_over(destination.name, other=destination.failover, after_s=after_s)
        if jobs:
            names = {"destination": destination.name, "to": destination.failover}
            metrics.count("sealgate_failover_total", jobs, **names)
            log.warning("failed over", **names, jobs=jobs, after_s=after_s)
        added += jobs
    return added
