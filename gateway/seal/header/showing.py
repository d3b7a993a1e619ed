"""Values of elements as people read them, and where two sequences differ inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np

from gateway.dicom.elements import Element
from gateway.seal.header import dictionary
from gateway.seal.header.canonical import KINDS, HeaderReading, inner_items, is_covered, value_of, vr_of
from gateway.seal.record.fields import Field, text

TEXT_MAX = 256
_INSIDE_MAX = 20


@dataclass(frozen=True)
class Inside:
    """One difference within a sequence.

    path: keywords with item numbers from 1, as in `PixelMeasuresSequence[1].PixelSpacing`.
    tag: of the innermost element.
    before, after: as people read them; empty when the element is absent.
    """

    path: str
    tag: int
    before: str
    after: str


def shown(element: Element | None, reading: HeaderReading) -> str:
    """The value of an element, at most 256 characters; empty for an absent one.

    Raises UnreadableObject when a sequence is damaged.
    """
    if element is None:
        return ""
    vr = vr_of(element, reading)
    kind = KINDS.get(vr, b"B")
    if kind == b"S":
        count = len(inner_items(element, reading))
        return f"{count} item" + ("" if count == 1 else "s")
    if kind == b"B":
        return f"{element.end - element.value} bytes"
    if kind in (b"I", b"F"):
        content = b"".join(value_of(element, reading).content)
        numbers = np.frombuffer(content[: len(content) // 8 * 8], "<i8" if kind == b"I" else "<f8")
        value = "\\".join(str(number) for number in numbers[:TEXT_MAX].tolist())
    else:
        raw = reading.body[element.value : element.end].rstrip(b" \0")
        value = text(raw, Field("", element.tag, vr), reading.charset)
    return value if len(value) <= TEXT_MAX else value[: TEXT_MAX - 3] + "..."


def inside(
    before: Element, reading_before: HeaderReading, after: Element, reading_after: HeaderReading
) -> list[Inside]:
    """Where two sequences differ, twenty places at most.

    Raises UnreadableObject when a sequence is damaged.
    """
    name = dictionary.name_of(before.tag)
    return list(islice(_inside(name, before, reading_before, after, reading_after), _INSIDE_MAX))


def _inside(
    name: str, before: Element, reading_before: HeaderReading, after: Element, reading_after: HeaderReading
) -> Iterator[Inside]:
    pairs = zip_longest(inner_items(before, reading_before), inner_items(after, reading_after))
    for number, (old_item, new_item) in enumerate(pairs, 1):
        path = f"{name}[{number}]"
        if old_item is None or new_item is None:
            yield Inside(
                path, before.tag, "" if old_item is None else "item", "" if new_item is None else "item"
            )
            continue
        (old_elements, old_reading), (new_elements, new_reading) = old_item, new_item
        old = {element.tag: element for element in old_elements if is_covered(element.tag, nested=True)}
        new = {element.tag: element for element in new_elements if is_covered(element.tag, nested=True)}
        for tag in sorted(old.keys() | new.keys()):
            yield from _element(
                f"{path}.{dictionary.name_of(tag)}", old.get(tag), old_reading, new.get(tag), new_reading
            )


def _element(
    path: str,
    old: Element | None,
    old_reading: HeaderReading,
    new: Element | None,
    new_reading: HeaderReading,
) -> Iterator[Inside]:
    if old is not None and new is not None:
        if _same(old, old_reading, new, new_reading):
            return
        if vr_of(old, old_reading) == vr_of(new, new_reading) == "SQ":
            yield from _inside(path, old, old_reading, new, new_reading)
            return
    present = old or new
    if present is None:
        return
    before, after = shown(old, old_reading), shown(new, new_reading)
    if before or after:
        yield Inside(path, present.tag, before, after)


def _same(old: Element, old_reading: HeaderReading, new: Element, new_reading: HeaderReading) -> bool:
    first, second = value_of(old, old_reading), value_of(new, new_reading)
    return first.kind == second.kind and b"".join(first.content) == b"".join(second.content)
