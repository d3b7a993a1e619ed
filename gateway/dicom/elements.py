"""Data elements as byte ranges (PS3.5 7.1), so that they can be found and replaced without decoding a single value.

Sealing must leave every byte that it does not change as it was received: private elements, odd VRs, character sets. So
the data set is walked and not parsed into objects.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import UnreadableObject

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD

# VRs with a 4-byte length in Explicit VR (PS3.5 table 7.1-1).
LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)

# Deeper nesting than this is an attack or a defect: real objects stay below ten.
NESTING_MAX = 200


class Encoding(NamedTuple):
    """How elements are written (PS3.5 7.1.2, 7.1.3, 7.3)."""

    explicit: bool
    little: bool

    @property
    def order(self) -> str:
        return "<" if self.little else ">"


IMPLICIT_LE = Encoding(explicit=False, little=True)
EXPLICIT_LE = Encoding(explicit=True, little=True)
EXPLICIT_BE = Encoding(explicit=True, little=False)


class Element(NamedTuple):
    """One element and where it stands.

    vr: None in Implicit VR.
    start, value: offsets of its header and its value.
    end: offset behind its value; with an undefined length, behind the delimiter.
    undefined: whether its length is.
    """

    tag: int
    vr: bytes | None
    start: int
    value: int
    end: int
    undefined: bool

    @property
    def group(self) -> int:
        return self.tag >> 16


def header(data: ByteSource, at: int, stop: int, encoding: Encoding) -> tuple[int, bytes | None, int, int]:
    """Tag, VR (None in Implicit VR), offset of the value and its length.

    at: offset of the element.
    Raises UnreadableObject when the header runs past `stop` or has no valid VR.
    """
    order = encoding.order
    if at + 8 > stop:
        raise UnreadableObject(f"an element header at offset {at} runs past the end")
    head = data[at : at + 12]
    group, number = struct.unpack_from(order + "HH", head)
    tag = group << 16 | number
    if not encoding.explicit or group == 0xFFFE:
        return tag, None, at + 8, struct.unpack_from(order + "I", head, 4)[0]
    vr = head[4:6]
    if not (vr.isalpha() and vr.isupper()):
        raise UnreadableObject(f"the element ({group:04X},{number:04X}) at offset {at} has no valid VR")
    if vr in LONG_VRS:
        if at + 12 > stop:
            raise UnreadableObject(f"an element header at offset {at} runs past the end")
        return tag, vr, at + 12, struct.unpack_from(order + "I", head, 8)[0]
    return tag, vr, at + 8, struct.unpack_from(order + "H", head, 6)[0]


def walk(data: ByteSource, start: int, stop: int, encoding: Encoding) -> list[Element]:
    """The elements of data[start:stop], one level deep.

    Raises UnreadableObject when a header is damaged, or a value runs past `stop`.
    """
    elements: list[Element] = []
    at = start
    while at < stop:
        tag, vr, value, length = header(data, at, stop, encoding)
        if length == UNDEFINED:
            end = skip_undefined(data, value, stop, IMPLICIT_LE if vr == b"UN" else encoding)
        else:
            end = value + length
        if end > stop:
            raise UnreadableObject(f"the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) runs past the end")
        elements.append(Element(tag, vr, at, value, end, length == UNDEFINED))
        at = end
    return elements


def skip_undefined(data: ByteSource, at: int, stop: int, encoding: Encoding) -> int:
    """The offset behind the delimiter of a value of undefined length (PS3.5 7.5).

    It works without recursion, so that hostile nesting ends in UnreadableObject and not in an exhausted stack.

    at: offset of the value.
    Raises UnreadableObject when the value is damaged, nested too deeply, or runs past `stop`.
    """
    # (whether it is a sequence, how its content is written)
    open_values: list[tuple[bool, Encoding]] = [(True, encoding)]
    while open_values:
        if len(open_values) > NESTING_MAX:
            raise UnreadableObject("sequences are nested too deeply")
        in_sequence, inner = open_values[-1]
        tag, vr, value, length = header(data, at, stop, inner)
        at = value
        if in_sequence:
            if tag == SEQUENCE_END:
                open_values.pop()
            elif tag != ITEM:
                raise UnreadableObject(f"a sequence holds something else than items at offset {at}")
            elif length == UNDEFINED:
                open_values.append((False, inner))
            else:
                at += length
        elif tag == ITEM_END:
            open_values.pop()
        elif length == UNDEFINED:
            open_values.append((True, IMPLICIT_LE if vr == b"UN" else inner))
        else:
            at += length
        if at > stop:
            raise UnreadableObject("a sequence runs past the end")
    return at


class SequenceItem(NamedTuple):
    """One sequence item and where it stands.

    start: offset of its tag.
    value, stop: offsets around its elements.
    end: offset behind it; with an undefined length, behind the delimiter.
    """

    start: int
    value: int
    stop: int
    end: int


def items(data: ByteSource, element: Element, encoding: Encoding) -> list[SequenceItem]:
    """The items of a sequence element.

    Raises UnreadableObject when the sequence is damaged.
    """
    sequence_items: list[SequenceItem] = []
    at, stop = element.value, element.end
    while at < stop:
        tag, _, value, length = header(data, at, stop, encoding)
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise UnreadableObject(f"a sequence holds something else than items at offset {at}")
        if length == UNDEFINED:
            inner_stop = _item_end(data, value, stop, encoding)
            sequence_items.append(SequenceItem(at, value, inner_stop, inner_stop + 8))
        else:
            sequence_items.append(SequenceItem(at, value, value + length, value + length))
        at = sequence_items[-1].end
        if at > stop:
            raise UnreadableObject("an item runs past the end")
    return sequence_items


def _item_end(data: ByteSource, at: int, stop: int, encoding: Encoding) -> int:
    while True:
        tag, vr, value, length = header(data, at, stop, encoding)
        if tag == ITEM_END:
            return at
        if length == UNDEFINED:
            at = skip_undefined(data, value, stop, IMPLICIT_LE if vr == b"UN" else encoding)
        else:
            at = value + length


def encode(tag: int, vr: bytes, value: bytes, encoding: Encoding) -> bytes:
    """One element of defined length. Its value is padded to even length, as PS3.5 6.2 asks."""
    if len(value) % 2:
        value += b"\0" if vr in {b"UI", b"OB", b"UN"} else b" "
    order = encoding.order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not encoding.explicit:
        return head + struct.pack(order + "I", len(value)) + value
    if vr in LONG_VRS:
        return head + vr + b"\0\0" + struct.pack(order + "I", len(value)) + value
    return head + vr + struct.pack(order + "H", len(value)) + value


def item(content: bytes, encoding: Encoding) -> bytes:
    """One sequence item of defined length around encoded elements (PS3.5 7.5.1)."""
    return struct.pack(encoding.order + "HHI", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content
