"""Jobs as people and programs see them: one JSON object each, in `sealgate queue` and over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gateway.queue.model import Job


def job_as_json(job: Job) -> dict[str, Any]:
    """The fields of the job. Times are text, and the pseudonym is called `instance`."""
    values = {name: value for name, value in asdict(job).items() if name != "pseudonym"}
    times = {"not_before": time_as_text(job.not_before), "received_at": time_as_text(job.received_at)}
    return {"instance": job.pseudonym} | values | times


def time_as_text(seconds: float) -> str:
    """The time in UTC, or "-" for a time that was never set.

    seconds: Unix seconds, 0 for a time that was never set.
    """
    if seconds <= 0:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
