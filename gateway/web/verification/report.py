"""A report about one file, as PDF: what was looked at, when, and what was found."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version

from blake3 import blake3

from gateway.retrieve.pdf import CHARACTERS_ACROSS, document
from gateway.seal.findings import Report
from gateway.work.words import words_of

TITLE = "Seal verification report"
# More would be a book.
DIFFERENCES_MAX = 200
TILES_MAX = 200


def as_pdf(report: Report, data: bytes, now: datetime) -> bytes:
    """data: the file that was verified, whose digest is named."""
    wrapped = (
        part
        for line in _lines(report, data, now)
        for part in textwrap.wrap(line, CHARACTERS_ACROSS, subsequent_indent="    ") or [""]
    )
    return document(list(wrapped), title=TITLE)


def _lines(report: Report, data: bytes, now: datetime) -> Iterator[str]:
    yield TITLE
    yield ""
    yield f"File, BLAKE3    {blake3(data).hexdigest()}"
    yield f"SOP Instance    {report.sop_instance_uid or 'unknown'}"
    yield f"Looked at       {now:%Y-%m-%d %H:%M:%S} UTC, Sealgate {version('sealgate')}"
    yield ""
    yield f"Verdict: {report.verdict.value} - {words_of(report.verdict.value)}"
    yield ""
    yield "Checks"
    for check in report.checks:
        state = {True: "holds", False: "FAILS", None: "open"}[check.ok]
        yield f"  {check.n} {check.name}: {state}{', ' + check.detail if check.detail else ''}"
    if report.header_differences:
        yield ""
        yield "Header: as sealed -> as it is"
    for difference in report.header_differences[:DIFFERENCES_MAX]:
        sealed, header = difference.get("sealed", difference.get("hidden")), difference.get("header")
        yield f"  {difference.get('keyword')} ({difference.get('class', '')}): {sealed!r} -> {header!r}"
    if report.tampered_tiles:
        yield ""
        yield f"Pixels: {len(report.tampered_tiles)} tiles changed (frame, row, column, height, width)"
    for tile in report.tampered_tiles[:TILES_MAX]:
        yield "  " + ", ".join(map(str, tile))
    if report.amendments:
        yield ""
        yield "Amendments"
    for amendment in report.amendments:
        yield "  " + ", ".join(f"{name} {value}" for name, value in amendment.items())
    yield ""
    yield "This report says what one gateway found. It carries no signature: ask for it again to be sure."
