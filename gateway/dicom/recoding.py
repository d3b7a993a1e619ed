"""Data sets from one element encoding to another (implicit or explicit VR, byte order), without decoding text."""

from __future__ import annotations

import struct

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR, repeater_has_tag

from gateway.dicom.elements import (
    IMPLICIT_LE,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
    encode,
    item,
    items,
    walk,
)
from gateway.errors import UnreadableObject, UnsupportedPixels

_SHORT_MAX = 0xFFFF
_NESTING_MAX = 60
_BYTES_OF_VR = {
    b"US": 2, b"SS": 2, b"OW": 2, b"AT": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"OF": 4, b"OL": 4,
    b"FD": 8, b"OD": 8, b"SV": 8, b"UV": 8, b"OV": 8,
}  # fmt: skip


def recoded(body: bytes, source: Encoding, target: Encoding, *, signed: bool) -> bytes:
    """The elements of a data set in another encoding. Values keep their bytes, but numbers change their byte order.

    body: without encapsulated values; they must have been replaced before.
    signed: PixelRepresentation is 1, which decides ambiguous VRs.
    Raises UnreadableObject when the data set is damaged, or nested too deeply.
    Raises UnsupportedPixels when the target can't express a value.
    """
    return _elements(body, walk(body, 0, len(body), source), source, target, signed, 0)


def _elements(
    body: bytes, elements: list[Element], source: Encoding, target: Encoding, signed: bool, deep: int
) -> bytes:
    if deep > _NESTING_MAX:
        raise UnreadableObject("sequences are nested too deeply")
    pieces: list[bytes] = []
    for element in elements:
        if element.tag & 0xFFFF == 0:
            # Group lengths are retired, and would be wrong.
            continue
        vr = element.vr or _vr(element, signed)
        if element.undefined and vr == b"UN":
            # PS3.5 6.2.2: UN of undefined length is a sequence in Implicit VR Little Endian.
            vr = b"SQ"
        if vr == b"SQ":
            inner = IMPLICIT_LE if element.vr == b"UN" else source
            recoded_items = []
            for sequence_item in items(body, element, inner):
                inside = walk(body, sequence_item.value, sequence_item.stop, inner)
                recoded_items.append(item(_elements(body, inside, inner, target, signed, deep + 1), target))
            pieces.append(_sequence(element.tag, b"".join(recoded_items), element.undefined, target))
            continue
        value = body[element.value : element.end]
        if source.little != target.little:
            value = _swapped(value, vr)
        if target.explicit and vr not in LONG_VRS and len(value) > _SHORT_MAX:
            # PS3.5 6.2.2: the value is too long for the length field of its VR.
            vr = b"UN"
        pieces.append(encode(element.tag, vr, value, target))
    return b"".join(pieces)


def _sequence(tag: int, content: bytes, undefined: bool, target: Encoding) -> bytes:
    if not undefined:
        return encode(tag, b"SQ", content, target)
    order = target.order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if target.explicit:
        head += b"SQ\0\0"
    end = struct.pack(order + "HHI", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
    return head + struct.pack(order + "I", UNDEFINED) + content + end


def _vr(element: Element, signed: bool) -> bytes:
    """The VR of an element that was written without one."""
    if element.undefined:
        return b"SQ"
    if element.group % 2:
        return b"LO" if 0x10 <= element.tag & 0xFFFF <= 0xFF else b"UN"
    repeated = dictionary_has_tag(element.tag) or repeater_has_tag(element.tag)  # curves and overlays repeat
    known = dictionary_VR(element.tag) if repeated else "UN"
    if "OW" in known:
        # PS3.5 A.1: pixel and overlay data are OW in implicit VR.
        return b"OW"
    if known == "US or SS":
        return b"SS" if signed else b"US"
    return known.encode()


def _swapped(value: bytes, vr: bytes) -> bytes:
    width = _BYTES_OF_VR.get(vr, 1)
    if width == 1:
        return value
    if len(value) % width:
        raise UnsupportedPixels(
            f"a value of VR {vr.decode()} has an odd length and can't change its byte order"
        )
    if vr == b"AT":
        width = 2
    return np.frombuffer(value, f"u{width}").byteswap().tobytes()
