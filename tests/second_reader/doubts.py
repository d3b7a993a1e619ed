"""Values that readers could read in different ways (FORMAT.md, "One reading", 5 and 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tests.second_reader.text import is_in_doubt

if TYPE_CHECKING:
    from tests.second_reader.dicom import Element

CHARACTER_SET, PIXEL_DATA = 0x00080005, 0x7FE00010
NUMBERS = {"US": 2, "SS": 2, "US/SS": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "OF": 4, "OL": 4}
NUMBERS |= {"FD": 8, "SV": 8, "UV": 8, "OD": 8, "OV": 8}
PLAIN = {
    "UI": re.compile(rb"[ -~]*"),
    "IS": re.compile(rb"([+-]?[0-9]+(\.0*)?)?"),
    "DS": re.compile(rb"([+-]?(?=\.?[0-9])[0-9]*\.?[0-9]*([eE][+-]?[0-9]{1,9})?)?"),
}
TEXTS = frozenset(["LO", "SH", "UC", "LT", "ST", "UT", "PN"])


def of_values(elements: Mapping[int, Element], terms: str = "", outer: str | None = None) -> Iterator[str]:
    """terms: Specific Character Set of what is around; outer: of what is around that; None at the top level."""
    own = elements.get(CHARACTER_SET)
    if outer is None:
        terms = outer = "" if own is None else own.body.decode("latin-1")
    elif own is not None:
        terms = own.body.decode("latin-1")
    for tag, element in elements.items():
        for item in element.items or []:
            yield from of_values(item, terms, terms)
        if element.items is None and element.fragments is None:
            yield from (f"{tag:08X} {why}" for why in _of_value(element, terms, outer))


def holds_fragments(elements: Mapping[int, Element]) -> bool:
    """At any depth."""
    return any(
        element.fragments is not None or any(map(holds_fragments, element.items or []))
        for element in elements.values()
    )


def _of_value(element: Element, terms: str, outer: str) -> Iterator[str]:
    vr, body = element.read_by, element.body
    if len(body) % 2 and (element.tag != PIXEL_DATA or len(body) == 13):
        yield "has an odd length"
    if len(body) % NUMBERS.get(vr, 1):
        yield "ends within a number"
    value = body.rstrip(b" \0")
    form = PLAIN.get(vr)
    if form and not all(form.fullmatch(one.strip(b" ")) for one in value.split(b"\\")):
        yield "is no value of its VR"
    if vr in TEXTS and is_in_doubt(value, terms, outer):
        yield "is text that readers read in different ways"
