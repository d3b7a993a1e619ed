"""What CONTRIBUTING.md says must be touched together is: commands, errors, and the files that the recipes name."""

from __future__ import annotations

import re

import pytest

from gateway import errors
from gateway.commands.common.printing import WORD_WIDTH
from gateway.commands.main import COMMANDS
from gateway.seal.findings import GOOD, Verdict
from tests.docs.tables import REPOSITORY
from tests.unit.test_house import PACKAGE

PAGES = [
    (REPOSITORY / name).read_text() for name in ("README.md", "docs/operations.md", "docs/reliability.md")
]
GUIDES = ("CONTRIBUTING.md", "docs/architecture.md")
BRANCHES = {
    errors.GatewayError,
    errors.UsageError,
    errors.InputError,
    errors.PeerError,
    errors.ResourceError,
    errors.SealBroken,
}
LEAVES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GatewayError)
]


def test_every_command_is_in_the_list_and_every_one_listed_is_there() -> None:
    modules = {
        path.stem
        for path in PACKAGE.glob("commands/*.py")
        if re.search(r"^def command\(", path.read_text(), re.MULTILINE)
    }
    assert modules | {"demo"} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_a_document_for_users(name: str) -> None:
    assert any(re.search(rf"\b(sealgate|make) {name}\b", page) for page in PAGES)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_of_its_own_and_says_what_happened(kind: type[errors.GatewayError]) -> None:
    assert kind.__doc__
    assert "code" in vars(kind), "a code of its own, a word for logs, metrics and JSON"
    assert [other for other in LEAVES if other.code == kind.code] == [kind]
    # What is wrong in a command or a configuration differs each time: there the hint comes with the raise.
    if kind not in BRANCHES and not issubclass(kind, errors.UsageError):
        assert kind.hint, "what a person can do"


@pytest.mark.parametrize("guide", GUIDES)
def test_files_that_the_guides_name_exist(guide: str) -> None:
    page = (REPOSITORY / guide).read_text()
    named = set(
        re.findall(r"`((?:gateway|tests|docs|deploy|export|onnx_models)/[\w./-]*\w/?)(?:::\w+)?`", page)
    )
    assert len(named) > 5
    coming = set(re.findall(r"^\| [^|]+ \| (?:a new room )?`([\w/]+/)`", page, re.MULTILINE))
    assert [name for name in sorted(named - coming) if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("verdict", sorted(GOOD), ids=str)
@pytest.mark.parametrize(
    "path", ["README.md", "docs/operations.md", "SECURITY.md", "gateway/commands/verify.py"]
)
def test_a_good_verdict_is_named_wherever_the_good_ones_are_listed(path: str, verdict: Verdict) -> None:
    lists = [
        line for line in (REPOSITORY / path).read_text().splitlines() if "intact" in line and " or " in line
    ]
    lists += [
        line for line in (REPOSITORY / path).read_text().splitlines() if "`sealgate_verdicts_total`" in line
    ]
    assert any(verdict.value in line for line in lists)


def test_the_longest_verdict_fits_into_its_column() -> None:
    assert max(len(verdict.value) for verdict in Verdict) <= WORD_WIDTH
