"""What a reader makes of a file, in one form for all readers; and what the gateway's own parser does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.dicom.elements import Element, items
from gateway.dicom.encapsulation import fragments
from gateway.dicom.image import HighBits, pixel_format
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import codestreams, decode
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import PIXEL_DATA
from gateway.errors import UnreadableObject, UnsupportedPixels
from gateway.seal.header.canonical import (
    KINDS,
    TEXT_KINDS,
    HeaderReading,
    inner_items,
    swapped,
    value_of,
    vr_of,
)


@dataclass
class Value:
    """One element as a reader has it. What a reader does not tell is None.

    raw: the value in little endian; also, where it stands, of a sequence.
    items: of a sequence; fragments: of encapsulated pixel data, offset table first.
    numbers, text: what people are shown.
    """

    vr: str
    raw: bytes | None = None
    items: list[Tree] | None = None
    fragments: list[bytes] | None = None
    numbers: list[float] | None = None
    text: str | None = None


Tree = dict[int, Value]


@dataclass
class Reading:
    """refusal: why the reader gives nothing; empty when it does.

    samples: decoded pixel data in the order in which it lies; frames: the codestreams.
    only_samples: nothing else was looked at.
    """

    refusal: str = ""
    tree: Tree = field(default_factory=dict)
    samples: NDArray[Any] | None = None
    frames: list[bytes] | None = None
    only_samples: bool = False


def own_reading(file: Part10) -> Reading:
    """By the parser, the canonical values and the decoders that the verdict rests on."""
    reading = HeaderReading.of(file)
    tree = _tree(file.elements, reading)
    samples, frames = None, None
    element = file.index.get(PIXEL_DATA)
    if element is not None:
        try:
            if element.undefined and not syntax_of(file.transfer_syntax).video:
                frames = [b"".join(part[:] for part in frame) for frame in codestreams(file)]
            shape = pixel_format(file)
            decoded = decode(file, shape)
            if decoded.high_bits is not HighBits.OTHER and not syntax_of(file.transfer_syntax).lossy:
                samples = decoded.samples
        except (UnsupportedPixels, UnreadableObject):
            samples = None
    return Reading(tree=tree, samples=samples, frames=frames)


def _tree(elements: list[Element], reading: HeaderReading) -> Tree:
    return {element.tag: _value(element, reading) for element in elements if element.tag & 0xFFFF}


def _value(element: Element, reading: HeaderReading) -> Value:
    vr = vr_of(element, reading)
    raw = reading.body[element.value : element.end]
    if vr == "SQ":
        inside = [_tree(inner, around) for inner, around in inner_items(element, reading)]
        if element.undefined:
            raw = reading.body[element.value : element.end - 8]
        return Value(vr, raw=raw, items=inside)
    if element.undefined:
        parts = items(reading.body, element, reading.encoding)
        table = reading.body[parts[0].value : parts[0].stop] if parts else b""
        return Value(vr, fragments=[table, *(part[:] for part in fragments(raw))])
    written = element.vr.decode() if element.vr else vr
    if not reading.encoding.little:
        raw = swapped(raw, written if written in _SWAPPED else vr) if {written, vr} & _SWAPPED else raw
    value = Value(vr, raw=raw)
    kind = KINDS.get(vr, b"B")
    canonical = value_of(element, reading)
    content = b"".join(canonical.content)
    if canonical.kind in TEXT_KINDS:
        value.text = content.decode("utf-8")
    elif canonical.kind in (b"I", b"F") and not len(content) % 8:
        value.numbers = _eights(content, floating=kind == b"F")
    elif canonical.kind == b"D" and (content or not raw.strip(b" \0")):
        value.text = content.decode("utf-8")
    return value


_SWAPPED = frozenset(["US", "SS", "UL", "SL", "FL", "FD", "AT", "OW", "OF", "OL", "OD", "OV", "SV", "UV"])


def _eights(content: bytes, *, floating: bool) -> list[float]:
    return [float(n) if floating else int(n) for n in np.frombuffer(content, "<f8" if floating else "<i8")]
