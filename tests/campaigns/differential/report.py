"""What a long run measured, written into docs/differential.md between `<!-- differential -->` and `<!-- end -->`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version

from tests.campaigns.differential.campaign import GOOD, SEALABLE, Tally
from tests.campaigns.differential.dcmtk_reader import DCMDUMP
from tests.docs.tables import REPOSITORY

PAGE = REPOSITORY / "docs" / "differential.md"


def readers() -> str:
    """Names and versions."""
    said = subprocess.run([DCMDUMP, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v(\d+\.\d+\.\d+)", said)
    dcmtk = found[1] if found else "unknown"
    return (
        f"pydicom {version('pydicom')}, DCMTK {dcmtk} (Debian), GDCM {version('python-gdcm')} (python-gdcm)"
    )


def lines(tally: Tally, seed: int, date: str) -> Iterator[str]:
    counted = tally.counted
    yield f"Measured {date}, seed {seed}, with {readers()}."
    yield ""
    yield "| files | number |"
    yield "|---|---|"
    yield f"| made | {counted['files']:,} |"
    yield f"| that can't be parsed | {counted['unreadable']:,} |"
    yield f'| objected to by "One reading" | {counted["objected to"]:,} |'
    yield f"| with another bad verdict, or of level `pass` | {counted['another bad verdict']:,} |"
    yield f"| that verify good, read by all | {counted[GOOD]:,} |"
    yield f"| that would be sealed, read by all | {counted[SEALABLE]:,} |"
    yield f"| **misses**: believed, and read in different ways | {len(tally.misses):,} |"
    yield ""
    yield "| reader | refused of those that are believed |"
    yield "|---|---|"
    for reader, number in sorted(tally.refused.items()):
        yield f"| {reader} | {number:,} |"
    yield ""
    yield "| known fault of one reader | differences |"
    yield "|---|---|"
    for fault, number in sorted(tally.known.items()):
        yield f"| {fault} | {number:,} |"
    yield ""
    yield "| mutation | files | believed |"
    yield "|---|---|---|"
    for kind, number in sorted(tally.made.items()):
        yield f"| {kind} | {number:,} | {tally.believed[kind]:,} |"


def write(tally: Tally, seed: int, date: str) -> None:
    """Replace what stands between the marks."""
    block = "<!-- differential -->\n" + "\n".join(lines(tally, seed, date)) + "\n<!-- end -->"
    page = PAGE.read_text()
    PAGE.write_text(re.sub(r"<!-- differential -->.*?<!-- end -->", lambda _: block, page, flags=re.DOTALL))
