"""`python -m tests.campaigns.tampering [--quick] [--record]`: does it all, and writes docs/tampering.md.

--quick: the objects that are built here, and no files.
--record: writes version-1.json, too: what the version that is installed finds. Done once, with version 1.
--only NAME,...: changes whose name holds one of these, printed with what was said, and nothing written.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from gateway.seal.codec import Codec
from tests.campaigns.tampering import kinds
from tests.campaigns.tampering.report import VERSION_1, document, recorded
from tests.campaigns.tampering.running import Row, Workbench, run
from tests.campaigns.tampering.table import CHANGES, HARMLESS
from tests.support.data import REPOSITORY
from tests.support.orthanc import Orthanc

PAGE = REPOSITORY / "docs" / "tampering.md"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    # pydicom quotes values of odd files.
    warnings.simplefilter("ignore")
    changes = [
        change
        for change in (*CHANGES, *HARMLESS)
        if any(part in change.name for part in arguments.only.split(","))
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Orthanc(folder / "orthanc") as orthanc:
            bench = Workbench.build(folder / "bench", Codec.load(), orthanc)
            rows = run(changes, _objects(quick=arguments.quick), bench, tell=print)
    for row in rows:
        for kind, why in row.failed.items():
            print(f"not done: {row.change.name} of {kind}: {why}")
    harmless = [row for row in rows if row.change in HARMLESS]
    tampering = [row for row in rows if row.change not in HARMLESS]
    if arguments.only:
        _tell(rows)
        return
    if arguments.record:
        VERSION_1.write_text(recorded(tampering))
    PAGE.write_text(document(tampering, harmless))


def _objects(*, quick: bool) -> Iterator[tuple[str, bytes]]:
    yield from kinds.synthetic().items()
    if not quick:
        yield from kinds.real()


def _tell(rows: list[Row]) -> None:
    for row in rows:
        for finding in row.findings:
            good = "good" if finding.expected else "FALSE ALARM"
            mark = good if row.change in HARMLESS else "found" if finding.found else "MISSED"
            print(
                f"{row.change.name}: {finding.kind} ({finding.level}): {mark}, {finding.verdict}: {finding.said}"
            )


if __name__ == "__main__":
    main()
