"""The measured tables of docs/reliability.md: `python -m tests.docs.figures` writes them from .work/campaigns.

A block is `<!-- measured: NAME -->` ... `<!-- end -->`. NAME is a campaign's file NAME.json, or the beginning of
several (`fault-`), which become one row each. A block without a file stays as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.campaign import CAMPAIGNS

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "reliability.md"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, float) and value.is_integer():
        return f"{int(value):,}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _measured(path: Path) -> dict[str, str]:
    figures = json.loads(path.read_text())
    return {key: str(value) if key == "seed" else _text(value) for key, value in figures.items()}


def table(name: str, folder: Path) -> list[str]:
    """Its lines; none where nothing was measured."""
    if not name.endswith("-"):
        path = folder / f"{name}.json"
        if not path.exists():
            return []
        rows = [f"| {key} | {value} |" for key, value in _measured(path).items()]
        return ["| figure | measured |", "|---|---|", *rows]
    rows = []
    for path in sorted(folder.glob(f"{name}*.json")):
        figures = _measured(path)
        date = figures.pop("date")
        told = "; ".join(f"{key}: {value}" for key, value in figures.items())
        rows.append(f"| {path.stem.removeprefix(name)} | {told} | {date} |")
    return ["| campaign | measured | date |", "|---|---|---|", *rows] if rows else []


def filled(page: str, folder: Path = CAMPAIGNS) -> str:
    """`page` with the tables of what was measured."""

    def block(found: re.Match[str]) -> str:
        lines = table(found[1], folder)
        return f"<!-- measured: {found[1]} -->\n" + "\n".join(lines) + "\n<!-- end -->" if lines else found[0]

    return re.sub(r"<!-- measured: ([a-z-]+) -->\n.*?<!-- end -->", block, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
