"""The bytes that a digital signature covers (PS3.3 C.12.1.1.3.1.1, PS3.15 C.1): elements in one fixed encoding.

Explicit VR, little endian, whatever the object is written in. A sequence is its header without a length, a tag before
each item, and a delimiter's tag at its end; encapsulated pixel data is written in the same way. So lengths, defined or
not, are in no signature. Values stand as they are, but text has no more padding than it needs (PS3.5 6.2): DCMTK
removes what is more when it reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom.datadict import dictionary_VR

from gateway.dicom.elements import (
    IMPLICIT_LE,
    ITEM,
    LONG_VRS,
    SEQUENCE_END,
    Element,
    Encoding,
    header,
    items,
    walk,
)
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, pieces
from gateway.dicom.part10 import Part10
from gateway.dicom.tags import PIXEL_DATA, PIXEL_REPRESENTATION
from gateway.errors import UnreadableObject

# Deeper sequences are not signed; real ones stay below ten.
NESTING_MAX = 60
# What fits into the two bytes of a short length (PS3.5 7.1.2).
_SHORT_MAX = 0xFFFE
_TRAILING_PADDING = 0xFFFCFFFC
_LENGTH_TO_END = 0x00080001
_ITEM = struct.pack("<HH", ITEM >> 16, ITEM & 0xFFFF)
_SEQUENCE_END = struct.pack("<HH", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF)
# Bytes of a number, for VRs that big endian turns round.
_WIDTHS = {
    b"AT": 2, b"OW": 2, b"SS": 2, b"US": 2, b"FL": 4, b"OF": 4, b"OL": 4, b"SL": 4, b"UL": 4,
    b"FD": 8, b"OD": 8, b"OV": 8, b"SV": 8, b"UV": 8,
}  # fmt: skip
# Of these VRs trailing padding is no part of the value (PS3.5 table 6.2-1).
_TEXTS = frozenset(
    {
        b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM", b"UC", b"UI",
        b"UR", b"UT",
    }
)  # fmt: skip
_PADDED_WITH_ZERO = frozenset({b"OB", b"UI", b"UN"})
# Several VRs in the dictionary, of which the pixels decide (PS3.6, PS3.5 A.1).
_DESCRIPTORS = frozenset({0x00281101, 0x00281102, 0x00281103, 0x00283002})


@dataclass(frozen=True)
class ElementReader:
    """Reads the elements of one level of a data set.

    body, encoding: of the data set.
    signed_pixels: what Pixel Representation says, on this level or above it.
    known: tag -> VR, of private elements of the top level that we know, where the object tells none (implicit, UN).
    """

    body: ByteSource
    encoding: Encoding
    signed_pixels: bool = False
    known: Mapping[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, file: Part10, known: Mapping[int, bytes] | None = None) -> ElementReader:
        """For the top level of an object."""
        reader = cls(file.body, file.encoding).below(file.elements)
        return replace(reader, known=known or {})

    def below(self, elements: list[Element], encoding: Encoding | None = None) -> ElementReader:
        """For these elements, which may say themselves whether pixels are signed."""
        written = encoding or self.encoding
        for element in elements:
            if element.tag == PIXEL_REPRESENTATION and element.end - element.value >= 2:
                value = struct.unpack_from(written.order + "H", self.body[element.value : element.value + 2])[
                    0
                ]
                return ElementReader(self.body, written, value == 1)
        return ElementReader(self.body, written, self.signed_pixels)

    def vr(self, element: Element) -> bytes:
        """The VR as written, or else that of the dictionary."""
        if element.vr in (None, b"UN") and element.tag in self.known:
            return self.known[element.tag]
        if element.vr is not None:
            return element.vr
        if element.group & 1:
            return b"LO" if 0x10 <= element.tag & 0xFFFF <= 0xFF else b"UN"
        try:
            # Not `dictionary_has_tag`: it does not know the repeating groups.
            choices = dictionary_VR(element.tag).encode().split(b" or ")
        except KeyError:
            return b"UN"
        if len(choices) == 1:
            return bytes(choices[0])
        if b"OW" in choices:
            return b"OW"
        return b"SS" if self.signed_pixels and element.tag not in _DESCRIPTORS else b"US"

    def can_be_signed(self, element: Element, deep: int = 0) -> bool:
        """Whether the rules allow this element in a signature, and all that is in it.

        Not what is of unknown VR (PS3.3 C.12.1.1.3.1.1): nobody could write it in explicit VR.
        Raises UnreadableObject when a sequence is damaged.
        """
        vr = self.vr(element)
        if (
            element.group < 0x0008
            or element.tag & 0xFFFF == 0
            or element.tag in (_LENGTH_TO_END, _TRAILING_PADDING, 0x4FFE0001)
            or element.group == 0xFFFA
            or vr == b"UN"
            or deep > NESTING_MAX
        ):
            return False
        if vr == b"SQ":
            return all(
                reader.can_be_signed(inside, deep + 1)
                for reader, elements in self._items(element)
                for inside in elements
                if inside.tag & 0xFFFF
            )
        return vr in LONG_VRS or element.end - element.value <= _SHORT_MAX

    def encoded(self, element: Element) -> Iterator[bytes]:
        """The bytes of an element in a signature.

        element: one that can be signed.
        Raises UnreadableObject when a sequence or encapsulated pixel data is damaged.
        """
        vr = self.vr(element)
        if vr == b"SQ":
            yield _head(element.tag, vr)
            for reader, elements in self._items(element):
                yield _ITEM
                for inside in elements:
                    # Group lengths (PS3.5 7.2, retired) are in no signature, on no level.
                    if inside.tag & 0xFFFF:
                        yield from reader.encoded(inside)
            yield _SEQUENCE_END
        elif element.tag == PIXEL_DATA and element.undefined:
            yield _head(element.tag, b"OB")
            yield from self._fragments(element)
            yield _SEQUENCE_END
        else:
            yield from self._plain(element, vr)

    def _plain(self, element: Element, vr: bytes) -> Iterator[bytes]:
        value = self._value(element)
        if vr in _TEXTS:
            value = value[:].rstrip(b" \0")
        size = len(value)
        padding = (b"\0" if vr in _PADDED_WITH_ZERO else b" ") * (size % 2)
        yield _head(element.tag, vr) + struct.pack("<I" if vr in LONG_VRS else "<H", size + size % 2)
        width = 1 if self.encoding.little else _WIDTHS.get(vr, 1)
        for piece in pieces(value):
            if width > 1 and len(piece) % width == 0:
                yield np.frombuffer(piece, f"u{width}").byteswap().tobytes()
            else:
                yield piece
        yield padding

    def _value(self, element: Element) -> ByteSource:
        if isinstance(self.body, bytes):
            return self.body[element.value : element.end]
        return ByteRange(self.body, element.value, element.end)

    def _items(self, element: Element) -> Iterator[tuple[ElementReader, list[Element]]]:
        inner = IMPLICIT_LE if element.vr == b"UN" else self.encoding
        for sequence_item in items(self.body, element, inner):
            elements = walk(self.body, sequence_item.value, sequence_item.stop, inner)
            yield self.below(elements, inner), elements

    def _fragments(self, element: Element) -> Iterator[bytes]:
        """The Basic Offset Table and the fragments, a tag before each."""
        at = element.value
        while at < element.end:
            tag, _, value, length = header(self.body, at, element.end, self.encoding)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or value + length > element.end:
                raise UnreadableObject("the encapsulated pixel data is damaged")
            yield _ITEM
            yield from pieces(ByteRange(self.body, value, value + length))
            at = value + length


def _head(tag: int, vr: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + (b"\0\0" if vr in LONG_VRS else b"")
