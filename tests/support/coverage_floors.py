"""Shows how many of the branches the last `pytest --cov` took, and fails below the floors.

`python -m tests.support.coverage_floors`, after the tests. pyproject.toml names the packages that are measured.
`coverage report --show-missing` names the lines and branches that no test took.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage

FLOORS = {"seal": 90.0, "queue": 80.0, "spool": 80.0, "receive": 90.0}
"""Per cent of the branches of each package, a little below the share that was measured when the floor was set."""


@dataclass(frozen=True)
class Share:
    """What was run of a package.

    lines: per cent of its statements, 0 .. 100.
    branches: per cent of its branches, 0 .. 100.
    """

    lines: float
    branches: float


def share_of(package: str, measured: Coverage) -> Share:
    """package: a folder in gateway/; files that no test imported count, too."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        measured.json_report(include=[f"gateway/{package}/*"], outfile=str(report))
        totals = json.loads(report.read_text())["totals"]
    return Share(
        lines=100 * totals["covered_lines"] / totals["num_statements"],
        branches=100 * totals["covered_branches"] / totals["num_branches"],
    )


def main() -> int:
    """Print a line for each package. Returns the exit status, 1 when a package is below its floor."""
    measured = Coverage()
    measured.load()
    print(f"{'coverage':<10}{'lines':>9}{'branches':>11}{'floor':>9}")
    below = False
    for package, floor in FLOORS.items():
        share = share_of(package, measured)
        failed = share.branches < floor
        note = "  below its floor" if failed else ""
        print(f"{package:<10}{share.lines:>7.1f} %{share.branches:>9.1f} %{floor:>7.0f} %{note}")
        below = below or failed
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
