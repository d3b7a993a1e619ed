"""Data sets written element by element, in any encoding: what a library would not write, too."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from gateway.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, LONG_VRS, Encoding, encode
from gateway.dicom.part10 import Part10, read
from gateway.dicom.syntaxes import DEFLATED_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, syntax_of
from gateway.dicom.tags import META_GROUP_LENGTH, TRANSFER_SYNTAX_UID
from gateway.seal.header.canonical import swapped

SYNTAXES = (IMPLICIT_VR_LE, EXPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED_LE)
SYNTAX_OF = {IMPLICIT_LE: IMPLICIT_VR_LE, EXPLICIT_LE: EXPLICIT_VR_LE, EXPLICIT_BE: EXPLICIT_VR_BE}
_SWAPPED = {"OW", "OF", "OL", "OD", "OV", "US", "SS", "AT", "UL", "SL", "FL", "FD", "UV", "SV"}


class Written(NamedTuple):
    """One element.

    value: in little endian; for SQ its items, each a list of elements.
    undefined: write sequence and items with undefined lengths.
    """

    tag: int
    vr: str
    value: bytes | Sequence[Sequence[Written]]
    undefined: bool = False


def written(elements: Sequence[Written], encoding: Encoding) -> bytes:
    return b"".join(_element(element, encoding) for element in sorted(elements, key=lambda one: one.tag))


def _element(element: Written, encoding: Encoding) -> bytes:
    tag, vr, value, undefined = element
    if isinstance(value, bytes):
        if not encoding.little and vr in _SWAPPED:
            value = swapped(value, vr)
        return encode(tag, vr.encode(), value, encoding)
    items = b"".join(_item(written(inside, encoding), encoding, undefined=undefined) for inside in value)
    if not undefined:
        return encode(tag, b"SQ", items, encoding)
    return raw(tag, "SQ", items + delimiter(0xFFFEE0DD, encoding), encoding, length=0xFFFFFFFF)


def _item(content: bytes, encoding: Encoding, *, undefined: bool) -> bytes:
    order = encoding.order
    length = 0xFFFFFFFF if undefined else len(content)
    end = delimiter(0xFFFEE00D, encoding) if undefined else b""
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, length) + content + end


def delimiter(tag: int, encoding: Encoding = EXPLICIT_LE, length: int = 0) -> bytes:
    return struct.pack(encoding.order + "HHI", tag >> 16, tag & 0xFFFF, length)


def raw(
    tag: int, vr: str, value: bytes, encoding: Encoding = EXPLICIT_LE, *, length: int | None = None
) -> bytes:
    """An element whose value is not padded, and whose length may be wrong."""
    order, size = encoding.order, len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not encoding.explicit:
        return head + struct.pack(order + "I", size) + value
    if vr.encode() in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "I", size) + value
    return head + vr.encode() + struct.pack(order + "H", size) + value


def with_meta(body: bytes, syntax: str = EXPLICIT_VR_LE, *, group_length: int | None = None) -> bytes:
    """A Part 10 file around a data set that is written already."""
    group = encode(TRANSFER_SYNTAX_UID, b"UI", syntax.encode(), EXPLICIT_LE)
    length = len(group) if group_length is None else group_length
    stated = encode(META_GROUP_LENGTH, b"UL", struct.pack("<I", length), EXPLICIT_LE)
    return bytes(128) + b"DICM" + stated + group + body


def file_of(elements: Sequence[Written], syntax: str = EXPLICIT_VR_LE) -> Part10:
    if syntax == DEFLATED_LE:
        plain = read(with_meta(written(elements, EXPLICIT_LE)))
        return read(plain.with_body(plain.body, DEFLATED_LE, EXPLICIT_LE).edited({}))
    return read(with_meta(written(elements, syntax_of(syntax).encoding), syntax))
