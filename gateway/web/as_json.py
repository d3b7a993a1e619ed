"""What the HTTP interface answers, as JSON: the one place where findings become dictionaries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.queue.as_json import time_as_text
from gateway.seal.findings import Extraction, Report, Restoration
from gateway.spool.quarantine import Entry


def report_as_json(path: str, report: Report) -> dict[str, Any]:
    """The JSON of `sealgate verify`. path: the name of the object in the request."""
    return {"path": path} | report.to_json()


def extraction_as_json(path: str, extraction: Extraction) -> dict[str, Any]:
    """The JSON of `sealgate extract`, with `reason`. path: the name of the object in the request."""
    return {"path": path} | asdict(extraction)


def restoration_as_json(path: str, restoration: Restoration) -> dict[str, Any]:
    """Why there is no original. path: the name of the object in the request."""
    return {"path": path} | asdict(restoration)


def quarantined_as_json(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id} | asdict(entry.note) | {"at": time_as_text(entry.note.at)}
