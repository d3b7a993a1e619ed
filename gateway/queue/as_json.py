"""Jobs as people and programs see them: one JSON object each, in `sealgate queue` and over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gateway.queue.model import Job


def job_as_json(job: Job) -> dict[str, Any]:
    """Times are text; the instance is named by its pseudonym."""
    found = {"instance": job.pseudonym} | asdict(job)
    del found["pseudonym"]
    return found | {"not_before": time_as_text(job.not_before), "received_at": time_as_text(job.received_at)}


def time_as_text(seconds: float) -> str:
    """UTC, or "-" for a time that was never set."""
    if seconds <= 0:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
