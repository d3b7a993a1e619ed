"""Encapsulated pixel data (PS3.5 A.4): cut into frames and fragments, and put together."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from pydicom.encaps import generate_frames

from gateway.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, ByteSourceIO
from gateway.errors import UnsupportedPixels

_OFFSETS_MAX = 0xFFFFFFFF


def frames(value: ByteSource, count: int, offsets: tuple[bytes, bytes] | None) -> Iterator[bytes]:
    """The codestream of each frame.

    value: the pixel data element's value, from its Basic Offset Table to its delimiter.
    count: Number of Frames as the object declares it.
    offsets: Extended Offset Table and its lengths; None when the object has none.
    Raises UnsupportedPixels when the value can't be cut into frames.
    """
    try:
        yield from generate_frames(
            value if isinstance(value, bytes) else ByteSourceIO(value),
            number_of_frames=count,
            extended_offsets=offsets,
        )
    except (ValueError, struct.error, EOFError) as error:
        raise UnsupportedPixels("the encapsulated pixel data can't be cut into frames") from error


def fragments(value: ByteSource) -> Iterator[ByteSource]:
    """The content of each fragment, not read yet. The Basic Offset Table is left out.

    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    at, is_table = 0, True
    while len(head := value[at : at + 8]) >= 4:
        group, element = struct.unpack_from("<HH", head)
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            return
        length = struct.unpack_from("<I", head, 4)[0] if len(head) == 8 else UNDEFINED
        if tag != ITEM or length == UNDEFINED:
            raise UnsupportedPixels("the encapsulated pixel data is damaged")
        if not is_table:
            yield ByteRange(value, at + 8, min(at + 8 + length, len(value)))
        at, is_table = at + 8 + length, False


def encapsulate(codestreams: list[bytes]) -> bytes:
    """The value of an encapsulated pixel data element, one fragment for each frame."""
    padded = [codestream + b"\0" * (len(codestream) % 2) for codestream in codestreams]
    starts = np.cumsum([0] + [8 + len(fragment) for fragment in padded[:-1]])
    table = b"" if int(starts[-1]) > _OFFSETS_MAX else starts.astype("<u4").tobytes()
    pieces = [struct.pack("<HHI", 0xFFFE, 0xE000, len(table)), table]
    for fragment in padded:
        pieces += [struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)), fragment]
    return b"".join([*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)])
