"""What a difference means is a table, and a site may move elements in it."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest
from pydicom.datadict import keyword_for_tag

from gateway.errors import ConfigurationError
from gateway.seal.header import dictionary
from gateway.seal.header.classes import HeaderClass, HeaderClasses, moved

RULES = tomllib.loads(files("gateway.seal.header").joinpath("header_classes.toml").read_text())["rule"]


@pytest.mark.parametrize("entry", sorted(entry for rule in RULES for entry in rule.get("elements", [])))
def test_the_keyword_of_an_entry_is_that_of_its_tag(entry: str) -> None:
    """Tags are read and keywords are for people: a wrong one would move another element than it says."""
    assert re.fullmatch("[0-9A-F]{4},[0-9A-F]{4} [A-Za-z0-9]+", entry)
    tag, keyword = entry.split(" ")
    assert keyword_for_tag(int(tag.replace(",", ""), 16)) == keyword


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (0x00100010, HeaderClass.IDENTITY), (0x00280010, HeaderClass.STRUCTURE), (0x00281050, HeaderClass.RENDERING),
        (0x60020010, HeaderClass.RENDERING), (0x00280030, HeaderClass.GEOMETRY), (0x00281053, HeaderClass.QUANTITY),
        (0x00080060, HeaderClass.CONTEXT), (0x00180050, HeaderClass.GEOMETRY), (0x00081030, HeaderClass.DESCRIPTION),
        (0x00201208, HeaderClass.BOOKKEEPING), (0x00180060, HeaderClass.CONTEXT), (0x00189FFE, HeaderClass.DESCRIPTION),
        # Unknown to the dictionary, and within the range of a class.
        (0x00549FFE, HeaderClass.DESCRIPTION),
    ],
)  # fmt: skip
def test_every_element_has_a_class(tag: int, expected: HeaderClass) -> None:
    assert HeaderClasses().of(tag) is expected


def test_every_element_of_the_dictionary_has_one() -> None:
    assert {HeaderClasses().of(tag) for tag in dictionary.vrs()} == set(HeaderClass)


def test_a_site_moves_elements_and_private_blocks() -> None:
    classes = moved({"PatientSex": "description", "0009,ACME 1 ": "identity"})
    assert classes.of(0x00100040) is HeaderClass.DESCRIPTION
    assert classes.of(0x00100010) is HeaderClass.IDENTITY
    assert classes.of(0x00090000, "ACME 1") is HeaderClass.IDENTITY
    assert classes.of(0x00090000, "ACME 2") is HeaderClass.DESCRIPTION


@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("PatientName", "nothing"), ("PatientName", ""), ("Nonsense", "identity"), ("", "identity"),
        ("SpecificCharacterSet", "identity"), ("PixelData", "identity"), ("9,ACME", "identity"), ("0009,", "identity"),
        ("00G9,ACME", "identity"), ("PlanarConfiguration", "description"),
    ],
)  # fmt: skip
def test_what_can_not_be_moved_is_a_fault_of_the_configuration(name: str, class_name: str) -> None:
    with pytest.raises(ConfigurationError):
        moved({name: class_name})
