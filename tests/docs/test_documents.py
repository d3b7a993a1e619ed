"""What the documents say is so: tables as generated, keys and metrics named, commands and links there."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway import config, keys
from gateway.commands import main
from gateway.observe.metrics import METRICS, Metric
from gateway.seal.verifying import Verdict
from tests.cli.terminal import sealgate
from tests.docs.tables import PAGES, REPOSITORY, regenerated

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("gateway/**/*.md")]
)
README = (REPOSITORY / "README.md").read_text()
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text()


def _keys() -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the configuration, `table.key`."""
    for table, outer in config.Config.model_fields.items():
        for model in (outer.annotation, *get_args(outer.annotation)):
            if isinstance(model, type) and issubclass(model, BaseModel):
                yield from ((f"{table}.{key}", field) for key, field in model.model_fields.items())


KEYS = dict(_keys())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_as_generated(page: Path) -> None:
    assert regenerated(page.read_text()) == page.read_text(), "run: python -m tests.docs.tables"


def test_every_configuration_key_is_explained_and_none_that_is_not_there() -> None:
    explained = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", OPERATIONS, re.MULTILINE)
    assert sorted(explained) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_default_of_a_key_is_the_one_told(key: str) -> None:
    told = re.search(rf"^\| `{re.escape(key)}` \| (.+?) \|", OPERATIONS, re.MULTILINE)
    assert told
    assert told[1] == _told(KEYS[key])


def _told(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if default is None:
        return "none"
    if default == "":
        return "empty"
    return "any" if default in ((), {}) else f"`{default}`"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_explained(metric: Metric) -> None:
    assert f"`{metric.name}`" in OPERATIONS


def test_metrics_named_in_the_text_exist() -> None:
    known = {metric.name for metric in METRICS}
    assert set(re.findall(r"\bsealgate_[a-z_]+\b", OPERATIONS)) <= known


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_explained_in_the_readme(verdict: Verdict) -> None:
    assert f"| `{verdict.value}` |" in README


def test_the_configuration_to_copy_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(block)
    keys.generate(tmp_path / "keys")
    (tmp_path / "sealgate.toml").write_text(block)
    done = sealgate(["check", "--config", "sealgate.toml"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist_with_their_options(document: Path) -> None:
    for line in re.findall(r"^\$ (sealgate .*?)(?: +#.*)?$", document.read_text(), re.MULTILINE):
        name, *words = shlex.split(line)[1:]
        command = main.sealgate.get_command(click.Context(main.sealgate), name)
        assert command is not None, line
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_make_help_lists_every_target_the_readme_names() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    for target in set(re.findall(r"(?:`|\$ )make ([a-z]+)", README)):
        assert f"make {target} " in listed


@pytest.mark.parametrize("script", ["deploy/install-peers.sh", ".ci/run"])
def test_shell_scripts_parse(script: str) -> None:
    shell = "bash" if script.startswith(".ci") else "sh"
    assert subprocess.run([shell, "-n", script], cwd=REPOSITORY, check=False).returncode == 0
