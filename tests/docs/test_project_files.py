"""The small files of the repository's root say what is so."""

from __future__ import annotations

import re
import shlex
import tomllib

from tests.docs.tables import REPOSITORY

HOOKS = (REPOSITORY / ".pre-commit-config.yaml").read_text()


def test_hooks_are_programs_of_the_virtual_environment_and_fetch_nothing() -> None:
    entries = re.findall(r"^ +entry: (.+)$", HOOKS, re.MULTILINE)
    assert len(entries) == HOOKS.count("- id:") == HOOKS.count("language: system")
    assert HOOKS.count("repo:") == HOOKS.count("repo: local") == 1
    for entry in entries:
        program = shlex.split(entry)[0]
        assert program.startswith(".venv/bin/")
        assert (REPOSITORY / program).exists(), f"{program}: run make venv"


def test_hooks_are_the_checks_of_make_lint() -> None:
    recipe = (REPOSITORY / "Makefile").read_text().split("\nlint:", 1)[1].split("\n\n", 1)[0]
    checks = {line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in recipe.splitlines()[1:]}
    entries = re.findall(r"^ +entry: \.venv/bin/(.+)$", HOOKS, re.MULTILINE)
    assert {entry.replace(" --force-exclude", "") for entry in entries} <= checks


def test_the_license_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (name,) = project["license-files"]
    assert (REPOSITORY / name).read_text().startswith(f"{project['license']} License\n")
