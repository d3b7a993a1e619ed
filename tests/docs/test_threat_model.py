"""Each claim of the threat model names the test that shows it, and that test exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.tables import REPOSITORY

PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text()
ROW = re.compile(r"^\|(?!-| threat )(.+)\|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _claims() -> list[list[str]]:
    """The cells of each row of the table of threats."""
    section = PAGE.split("## Threats and the tests that show them\n", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in row.split("|")] for row in ROW.findall(section)]


@pytest.mark.parametrize("claim", _claims(), ids=lambda cells: re.sub(r"\W+", "-", cells[0])[:50])
def test_every_row_names_a_test_that_exists(claim: list[str]) -> None:
    assert len(claim) == 4, claim
    named = NAMED.findall(claim[3])
    assert named, claim[0]
    for path, name in named:
        assert _defines(REPOSITORY / path, name), f"{path}::{name}"


def test_the_table_is_there() -> None:
    assert len(_claims()) > 20


def _defines(path: Path, name: str) -> bool:
    return path.is_file() and re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE) is not None
