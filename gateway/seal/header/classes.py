"""What a difference in an element means: the rules of header_classes.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom.datadict import tag_for_keyword

from gateway.dicom.tags import ICON_IMAGE
from gateway.errors import ConfigurationError
from gateway.seal.header import dictionary
from gateway.seal.header.canonical import is_covered
from gateway.seal.header.table import HeaderChange


class HeaderClass(StrEnum):
    """What an element is about."""

    IDENTITY = "identity"
    STRUCTURE = "structure"
    RENDERING = "rendering"
    GEOMETRY = "geometry"
    QUANTITY = "quantity"
    CONTEXT = "context"
    DESCRIPTION = "description"
    BOOKKEEPING = "bookkeeping"


# A difference in one of these changes what is shown, measured or where it comes from.
ALTERING = frozenset({HeaderClass.RENDERING, HeaderClass.GEOMETRY, HeaderClass.QUANTITY, HeaderClass.CONTEXT})


@dataclass(frozen=True)
class HeaderClasses:
    """The table of the repository, and what the site moved.

    moved: tag -> class; (group << 16, creator) of private blocks too.
    """

    moved: Mapping[int | tuple[int, str], HeaderClass] = field(default_factory=dict)

    def of_change(self, change: HeaderChange) -> HeaderClass:
        """The class of a difference. An icon that is gone shows nothing, and archives drop icons."""
        if change.tag == ICON_IMAGE and change.kind == "removed" and ICON_IMAGE not in self.moved:
            return HeaderClass.DESCRIPTION
        return self.of(change.tag, change.creator)

    def of(self, tag: int, creator: str = "") -> HeaderClass:
        """The class of a standard element, or of a private block (tag is its group, shifted left by 16)."""
        if creator:
            return self.moved.get((tag, creator), HeaderClass.DESCRIPTION)
        found = self.moved.get(tag)
        return _standard(tag) if found is None else found


def moved(settings: Mapping[str, str]) -> HeaderClasses:
    """The classes with those that a site chose.

    settings: keyword, or `GGGG,creator` for a private block -> name of a class.
    Raises ConfigurationError when an element or class is unknown, or the element is not covered.
    """
    result: dict[int | tuple[int, str], HeaderClass] = {}
    for name, class_name in settings.items():
        if class_name not in set(HeaderClass):
            raise ConfigurationError(
                f"verify.classes: {class_name!r} is no class", hint=f"Classes: {', '.join(HeaderClass)}."
            )
        result[_place(name)] = HeaderClass(class_name)
    return HeaderClasses(result)


def _place(name: str) -> int | tuple[int, str]:
    group, comma, creator = name.partition(",")
    if comma:
        if len(group) == 4 and all(digit in "0123456789abcdefABCDEF" for digit in group) and creator.strip():
            return int(group, 16) << 16, creator.strip()
        raise ConfigurationError(
            f"verify.classes: {name!r} names no private block",
            hint='Write the group and the private creator, as in "7053,Philips PET Private Group".',
        )
    # Retired elements have an empty keyword.
    tag = tag_for_keyword(name) if name else None
    if tag is None:
        raise ConfigurationError(
            f"verify.classes: {name!r} is not a DICOM keyword", hint="See PS3.6 for the keywords."
        )
    if not is_covered(tag):
        raise ConfigurationError(
            f"verify.classes: {name} is never covered by a seal", hint="FORMAT.md lists what is not covered."
        )
    return tag


@cache
def _rules() -> tuple[dict[int, HeaderClass], list[tuple[int, int, HeaderClass]]]:
    """Classes of single elements, and of ranges (first tag, last tag, class)."""
    rows: dict[str, Any] = tomllib.loads(
        files("gateway.seal.header").joinpath("header_classes.toml").read_text()
    )
    single: dict[int, HeaderClass] = {}
    ranges: list[tuple[int, int, HeaderClass]] = []
    for row in rows["rule"]:
        header_class = HeaderClass(row["class"])
        for entry in row.get("elements", []):
            tag = _tag(entry.split(" ")[0])
            if tag in single:
                raise AssertionError(f"header_classes.toml: {entry} stands twice")
            single[tag] = header_class
        for text in row.get("ranges", []):
            first, last = map(_tag, text.split("-"))
            ranges.append((first, last, header_class))
    return single, ranges


def _tag(text: str) -> int:
    """The tag that is written as `gggg,eeee`."""
    return int(text.replace(",", ""), 16)


@cache
def _standard(tag: int) -> HeaderClass:
    single, ranges = _rules()
    if tag in single:
        return single[tag]
    if tag not in dictionary.vrs():
        return HeaderClass.DESCRIPTION
    return next((found for first, last, found in ranges if first <= tag <= last), HeaderClass.CONTEXT)
