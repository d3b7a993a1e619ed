"""FORMAT.md says what the code does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import gateway.seal
from gateway.seal import eligibility
from gateway.seal.block import private_block
from gateway.seal.block.statement import _FIELDS, Domain
from gateway.seal.codec import header, layout, ldpc, order, synthesis
from gateway.seal.codec.networks import shipped
from gateway.seal.findings import CHECKS
from gateway.seal.record import record
from gateway.seal.verifying import Verdict
from tests.vectors import example

PAGE = (Path(gateway.seal.__file__).parent / "FORMAT.md").read_text("utf-8")
# In one line: numbers of a list may stand in two.
CODEC = " ".join((Path(gateway.seal.__file__).parent / "codec" / "CODEC.md").read_text("utf-8").split())
CARD = json.loads((shipped() / "robust-v2.json").read_text())["layout"]
SOURCES = [path.read_text("utf-8") for path in Path(gateway.seal.__file__).parent.glob("*.py")]


def test_the_worked_example_is_current() -> None:
    assert example.text() in PAGE


@pytest.mark.parametrize("word", [*Verdict, *Domain, *sorted(set(eligibility.table()["kept"].values()))])
def test_every_word_of_a_finding_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize(
    "reason",
    [
        "no-encoder",
        "undecodable",
        "structure",
        "payload-too-large",
        "not-proven",
        "payload-present",
        "reseal-without-key",
        "reseal-weaker",
    ],
)
def test_reasons_in_the_code_are_on_the_page(reason: str) -> None:
    assert any(f'"{reason}"' in source for source in SOURCES)
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize("key", sorted(_FIELDS))
def test_every_entry_of_the_statement_has_its_number(key: int) -> None:
    section = PAGE.split("## Statement")[1].split("## Restoring")[0]
    numbers = {int(n) for line in section.splitlines() if line.startswith("| ") for n in _numbers(line)}
    assert key in numbers


@pytest.mark.parametrize(("number", "name"), CHECKS.items())
def test_every_check_has_its_number(number: int, name: str) -> None:
    assert f"| {number} | {name} |" in PAGE


@pytest.mark.parametrize(
    "element",
    [
        private_block.VERSION,
        private_block.STATEMENT,
        private_block.TILES,
        private_block.RESTORING,
        private_block.ENVELOPE,
    ],
)
def test_every_element_of_the_block_is_listed(element: int) -> None:
    assert f"(0071,xx{element:02X})" in PAGE


def test_the_tables_of_the_record_are_those_of_the_code() -> None:
    assert ", ".join(f"`{name.decode()}`" for name in record.MODALITIES) in PAGE
    assert ", ".join(f"`{name.decode()}`" for name in record.CHARSETS[1:]) in PAGE


def _rising(numbers: Sequence[int]) -> str:
    """As the page writes a series: its first three numbers and its last one."""
    first, second, *_, last = numbers
    return f"{first}, {second}, ... {last}"


@pytest.mark.parametrize(
    "said",
    [
        f"A lift Z is {_rising([z for z in ldpc.LIFTS if z < 128])} or {_rising([z for z in ldpc.LIFTS if z >= 128])}",
        f"e in {', '.join(map(str, layout.EIGHTHS))}, at most {layout.PLACES_MAX}:",
        f"key = 0x{layout.PERMUTATION_KEY:X}",
        f"mix(0x{layout._WHITENING:016X})",
        f"mix(0x{header._MASK_SEED:016X})",
        f"big endian, at most {layout.PAYLOAD_MAX}",
        f"takes the first {order.HEADER} places, and where C >= {order._WIDE_CELLS} the first {order.WIDEST}",
        f"comes nearer to a limit than {CARD['writer_margin']:g} u",
        f"comes nearer than {CARD['margin']:g} u, and those where s < {CARD['least_deviation']:g} u",
        f"frequency {', '.join(f'({u},{v})' for u, v in synthesis.FREQUENCIES)}",
        f"their steps {', '.join(f'{step:g}' for step in CARD['steps'])}.",
    ],
)
def test_the_numbers_of_the_codec_are_those_of_the_code(said: str) -> None:
    """The table of the LDPC code is a generated one (tests/docs)."""
    assert said in CODEC


def _numbers(line: str) -> list[str]:
    return [part for part in line.split("|")[1].replace(",", " ").split() if part.isdigit()]
