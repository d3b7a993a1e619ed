"""docs/architecture.md draws the house that is there; gateway/__init__.py names modules and folders that exist."""

from __future__ import annotations

import re

import gateway
from tests.docs.tables import REPOSITORY, described
from tests.unit.test_house import FLOORS, PACKAGE

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| `([\w/]+)(/|\.py)` \| (.+) \|$", PAGE, re.MULTILINE)
AGAIN = "run: python -m tests.docs.tables"


def test_the_floors_drawn_are_those_of_the_test_of_imports() -> None:
    drawn = [
        tuple(name for number, name, _, _ in ROWS if int(number) == floor and "/" not in name)
        for floor in range(1, len(FLOORS) + 1)
    ]
    assert drawn == list(FLOORS), AGAIN


def test_every_folder_is_drawn_and_every_folder_drawn_exists() -> None:
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}
    assert {name for _, name, suffix, _ in ROWS if suffix == "/"} == folders, AGAIN


def test_every_folder_is_described_as_its_docstring_does() -> None:
    for _, name, suffix, description in ROWS:
        path = PACKAGE / name / "__init__.py" if suffix == "/" else PACKAGE / f"{name}.py"
        assert description == described(path), f"{name}: {AGAIN}"
        assert description, f"{name}: a folder says in one line what it holds"


def test_the_way_of_an_instance_names_folders_that_exist() -> None:
    assert gateway.__doc__ is not None
    named = set(re.findall(r"`gateway\.([\w.]+)`", gateway.__doc__))
    assert len(named) > 8
    for name in named:
        path = PACKAGE / name.replace(".", "/")
        assert (path / "__init__.py").exists() or path.with_suffix(".py").exists(), name
