"""The value of an element as DICOM means it, as bytes to be hashed (FORMAT.md, "Canonical values").

Two encodings of the same value give the same bytes: implicit and explicit VR, either byte order, any character set, any
padding. Two values that readers tell apart give different bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from gateway.dicom.elements import IMPLICIT_LE, Element, Encoding, items, walk
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, pieces
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    NUMBER_OF_FRAMES,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
)
from gateway.dicom.text import decoded
from gateway.errors import UnreadableObject
from gateway.seal.header import dictionary

NESTING_MAX = 60

KINDS = {
    "LO": b"T", "SH": b"T", "UC": b"T", "LT": b"L", "ST": b"L", "UT": b"L", "PN": b"P",
    "AE": b"C", "AS": b"C", "CS": b"C", "DA": b"C", "DT": b"C", "TM": b"C", "UI": b"C", "UR": b"C",
    "DS": b"D", "IS": b"D",
    "US": b"I", "SS": b"I", "UL": b"I", "SL": b"I", "UV": b"I", "SV": b"I", "AT": b"I",
    "FL": b"F", "FD": b"F", "SQ": b"S",
    "OB": b"B", "OW": b"B", "OF": b"B", "OD": b"B", "OL": b"B", "OV": b"B", "UN": b"B",
}  # fmt: skip
# Those whose bytes depend on Specific Character Set.
TEXT_KINDS = (b"T", b"L", b"P")
_NUMBERS = {
    "US": "u2",
    "SS": "i2",
    "UL": "u4",
    "SL": "i4",
    "UV": "u8",
    "SV": "i8",
    "FL": "f4",
    "FD": "f8",
    "AT": "u2",
}
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8} | {
    "US": 2, "SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8,
}  # fmt: skip
_DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?")

# What archives write and change. It is in no digest, at any depth (FORMAT.md has the reasons).
NOT_COVERED = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        0x00080052, 0x00080053, 0x00080054, 0x00080056, 0x00081190, 0x0040E010, 0x0040E011, 0x0040E020,
        0x0040E021, 0x0040E022, 0x0040E023, 0x0040E024, 0x0040E025,
        0x00880130, 0x00880140,
        *range(0x04000500, 0x04000562),
        0x00280006, BITS_ALLOCATED, 0x4FFE0001, 0x7FE00001, 0x7FE00002, 0x7FE00003, PIXEL_DATA, 0xFFFAFFFA, 0xFFFCFFFC,
    }
)  # fmt: skip


@dataclass(frozen=True)
class HeaderReading:
    """How the elements of a data set, or of one item, are to be read.

    body: the data set.
    encoding: of these elements.
    charset: value of Specific Character Set.
    signed: Pixel Representation is 1, which decides ambiguous VRs.
    vrs: tag -> VR, of the edition.
    """

    body: ByteSource
    encoding: Encoding
    charset: bytes
    signed: bool
    vrs: dict[int, str]

    def over(self, body: ByteSource) -> HeaderReading:
        """The same for elements that stand elsewhere."""
        return replace(self, body=body)

    @classmethod
    def of(cls, file: Part10, edition: int = dictionary.EDITION) -> HeaderReading:
        charset = (file.value(SPECIFIC_CHARACTER_SET) or b"").strip(b" \0")
        signed = _is_signed(file.value(PIXEL_REPRESENTATION) or b"", file.encoding)
        return cls(file.body, file.encoding, charset, signed, dictionary.vrs(edition))


@dataclass(frozen=True)
class Canonical:
    """One value.

    kind: one byte, from KINDS.
    length: of the content, in bytes.
    content: in pieces.
    """

    kind: bytes
    length: int
    content: Iterable[bytes]

    def serialised(self) -> Iterator[bytes]:
        """Kind, length (8 bytes, little endian) and content."""
        yield self.kind + struct.pack("<Q", self.length)
        yield from self.content

    @property
    def empty(self) -> bool:
        """Whether the element might as well be absent (PS3.5 7.4.4)."""
        return not self.length


_ONE = Canonical(b"D", 3, (b"1E0",))


def is_covered(tag: int, *, nested: bool = False) -> bool:
    """Whether a standard element counts: no private ones, no group lengths, no bookkeeping.

    nested: it stands in an item, where Pixel Data is an icon.
    """
    if tag >> 16 & 1 or not tag & 0xFFFF or tag < 0x00080000:
        return False
    return tag not in NOT_COVERED or (nested and tag == PIXEL_DATA)


def vr_of(element: Element, reading: HeaderReading) -> str:
    """The VR by which a value is read: as written, or that of the dictionary where the file does not tell."""
    known = reading.vrs.get(element.tag)
    if element.undefined and element.tag != PIXEL_DATA:
        return "SQ"
    written = "UN" if element.vr is None else element.vr.decode("latin-1")
    if known is None:
        return "SQ" if written == "SQ" else "UN"
    if "OW" in known:
        return "OB" if written == "OB" else "OW" if written in {"UN", "OW", "US", "SS"} else written
    if written != "UN":
        return written
    return ("SS" if reading.signed else "US") if known == "US/SS" else known


def value_of(element: Element, reading: HeaderReading, deep: int = 0) -> Canonical:
    """The canonical value of an element.

    deep: how many sequences are around it.
    Raises UnreadableObject when sequences are damaged, or nested too deeply.
    """
    vr = vr_of(element, reading)
    kind = KINDS.get(vr, b"B")
    if kind == b"S":
        return sequence(item_contents(element, reading, deep))
    if kind == b"B":
        return _binary(element, vr, reading)
    raw = reading.body[element.value : element.end]
    if kind in (b"I", b"F"):
        return _numbers(raw, vr, reading.encoding.little)
    text = _text(raw.replace(b" ", b"") if vr == "UI" else raw, kind, reading.charset)
    if element.tag == NUMBER_OF_FRAMES and text == _ONE:
        # One frame is what its absence means (PS3.3 C.7.6.6), and some toolkits remove it.
        return Canonical(kind, 0, ())
    return text


def sequence(contents: list[bytes]) -> Canonical:
    """A sequence of items, given by their contents. One without items is empty."""
    if not contents:
        return Canonical(b"S", 0, ())
    head = struct.pack("<I", len(contents))
    return Canonical(b"S", len(head) + sum(map(len, contents)), (head, *contents))


def inner_items(element: Element, reading: HeaderReading) -> list[tuple[list[Element], HeaderReading]]:
    """The elements of each item of a sequence, and how they are to be read.

    Raises UnreadableObject when the sequence is damaged.
    """
    encoding = IMPLICIT_LE if element.vr == b"UN" else reading.encoding
    result = []
    for part in items(reading.body, element, encoding):
        elements = walk(reading.body, part.value, part.stop, encoding)
        inner = replace(reading, encoding=encoding) if encoding != reading.encoding else reading
        for inside in elements:
            if inside.tag == SPECIFIC_CHARACTER_SET:
                inner = replace(inner, charset=reading.body[inside.value : inside.end].strip(b" \0"))
            elif inside.tag == PIXEL_REPRESENTATION:
                # Of an icon, for example: PS3.3 C.7.6.3 has ambiguous VRs depend on the data set they stand in.
                representation = reading.body[inside.value : inside.end]
                inner = replace(inner, signed=_is_signed(representation, encoding))
        result.append((elements, inner))
    return result


def _is_signed(representation: bytes, encoding: Encoding) -> bool:
    """Whether the first number of a Pixel Representation is 1."""
    return representation[:2] == (b"\1\0" if encoding.little else b"\0\1")


def item_contents(element: Element, reading: HeaderReading, deep: int = 0) -> list[bytes]:
    """The canonical content of each item of a sequence: number of elements, then each with its tag.

    deep: how many sequences are around this one.
    Raises UnreadableObject as `value_of` does.
    """
    if deep > NESTING_MAX:
        raise UnreadableObject("sequences are nested too deeply")
    return [_item(elements, inner, deep) for elements, inner in inner_items(element, reading)]


def _item(elements: list[Element], reading: HeaderReading, deep: int) -> bytes:
    content: list[bytes] = []
    count = 0
    for element in sorted(elements, key=lambda element: element.tag):
        if not is_covered(element.tag, nested=True):
            continue
        value = value_of(element, reading, deep + 1)
        if value.empty:
            continue
        count += 1
        content += [struct.pack("<I", element.tag), *value.serialised()]
    return struct.pack("<I", count) + b"".join(content)


def _binary(element: Element, vr: str, reading: HeaderReading) -> Canonical:
    """Bytes in little endian, of even length. They are read in pieces, because they may be larger than memory."""
    value: ByteSource = ByteRange(reading.body, element.value, element.end)
    width = 1 if reading.encoding.little else _WORDS.get(_width_vr(element, vr), 1)
    if width > 1 and not len(value) % width:
        value = np.frombuffer(value[:], f"u{width}").byteswap().tobytes()
    padding = len(value) % 2
    return Canonical(
        b"B", len(value) + padding, (*_pieces(value), b"\0" * padding) if padding else _pieces(value)
    )


def _pieces(value: ByteSource) -> Iterable[bytes]:
    return (value[:],) if len(value) <= 1 << 16 else pieces(value)


def _width_vr(element: Element, vr: str) -> str:
    """The VR that tells the width of the words: the one written, for an element that the dictionary does not know."""
    return element.vr.decode("latin-1") if vr == "UN" and element.vr else vr


def swapped(value: bytes, vr: str) -> bytes:
    """A value in the other byte order; one of bytes or text stays."""
    width = _WORDS.get(vr, 1)
    whole = len(value) // width * width
    return np.frombuffer(value[:whole], f"u{width}").byteswap().tobytes() + value[whole:]


def _numbers(raw: bytes, vr: str, little: bool) -> Canonical:
    """Each number in 8 bytes, little endian: integers in two's complement, others as IEEE 754 double with one
    not-a-number. Bytes that are no whole number stand at the end.
    """
    order, width = "<" if little else ">", _WORDS[vr] * (2 if vr == "AT" else 1)
    whole = len(raw) // width * width
    words = np.frombuffer(raw[:whole], order + _NUMBERS[vr])
    if vr == "AT":
        numbers = words[0::2].astype("<i8") << 16 | words[1::2]
    elif vr in ("FL", "FD"):
        with np.errstate(invalid="ignore"):
            numbers = words.astype("<f8")
        numbers[np.isnan(numbers)] = np.nan
    else:
        numbers = words.astype("<i8")
    return Canonical(KINDS[vr], len(numbers) * 8 + len(raw) - whole, (numbers.tobytes(), raw[whole:]))


def _text(raw: bytes, kind: bytes, charset: bytes) -> Canonical:
    raw = raw.rstrip(b" \0")
    if kind == b"C" and raw.strip(b" \0") in (b"YBR_RCT", b"YBR_ICT"):
        # What the transforms of JPEG 2000 make of RGB (PS3.3 C.7.6.3.1.2). "One reading" binds them to that.
        raw = b"RGB"
    if kind in (b"C", b"D"):
        text: str | None = raw.decode("latin-1")
    else:
        text = decoded(raw, charset)
    if text is None:
        padded = raw + b"\0" * (len(raw) % 2)
        return Canonical(b"B", len(padded), (padded,))
    content = significant(text, kind).encode()
    return Canonical(kind, len(content), (content,))


def significant(text: str, kind: bytes) -> str:
    """A text without what PS3.5 6.2 calls insignificant; decimal strings in one form of many."""
    if kind == b"L":
        return text.rstrip(" \0")
    if kind == b"P":
        return "\\".join(_name(part) for part in text.split("\\"))
    values = [part.strip(" \0") for part in text.split("\\")]
    return "\\".join(map(_decimal, values)) if kind == b"D" else "\\".join(values)


def _name(value: str) -> str:
    groups = [group.strip(" \0").rstrip("^ ") for group in value.split("=")]
    return "=".join(groups).rstrip("=")


def _decimal(value: str) -> str:
    """Sign, digits without zeros around them, and exponent: `-1.50` is `-15E-1`. What is no number stays."""
    match = _DECIMAL.fullmatch(value)
    if match is None or not (match[2] or match[3]):
        return value
    fraction = match[3] or ""
    digits = (match[2] + fraction).lstrip("0")
    if not digits:
        return "0"
    kept = digits.rstrip("0")
    exponent = int(match[4] or 0) - len(fraction) + len(digits) - len(kept)
    return f"{'-' if match[1] == '-' else ''}{kept}E{exponent}"
