"""Encapsulated pixel data (PS3.5 A.4): cut into frames and fragments, and put together."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

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


def units(value: ByteSource, count: int, extended: tuple[bytes, bytes] | None) -> list[list[ByteSource]]:
    """The fragments of each frame, not read yet, in the only way in which they can be shared out.

    value, extended: as for `frames`.
    count: Number of Frames; 0 for a video, whose fragments are one stream.
    Raises UnsupportedPixels when offset tables contradict the fragments or each other, or when frames can't be told.
    """
    table, starts, content = _parsed(value)
    if not content:
        raise UnsupportedPixels("the encapsulated pixel data has no fragments")
    if extended:
        if table or len(content) != max(count, 1):
            raise UnsupportedPixels(
                "there is an offset table beside the extended one, or not one fragment a frame"
            )
        table, lengths = _numbers(extended[0], 8), _numbers(extended[1], 8)
        if len(lengths) != len(content) or not all(map(_has_length, content, lengths)):
            raise UnsupportedPixels("the extended offset table contradicts the fragments")
    if count <= 1:
        if table not in ([], [0]):
            raise UnsupportedPixels("the offset table contradicts the fragments")
        return [content]
    if not table:
        if len(content) != count:
            raise UnsupportedPixels("without an offset table, nobody knows where frames begin")
        return [[fragment] for fragment in content]
    rising = all(before < after for before, after in pairwise(table))
    at = {offset: number for number, offset in enumerate(starts)}
    if len(table) != count or table[0] or not rising or not at.keys() >= set(table):
        raise UnsupportedPixels("the offset table contradicts the fragments")
    borders = [at[offset] for offset in table] + [len(content)]
    return [content[first:last] for first, last in pairwise(borders)]


def _has_length(fragment: ByteSource, length: int) -> bool:
    """Whether a frame is so long, the byte left out that pads it to even length (PS3.5 A.4)."""
    return length == len(fragment) or (length == len(fragment) - 1 and fragment[length:] == b"\0")


def _parsed(value: ByteSource) -> tuple[list[int], list[int], list[ByteSource]]:
    """Basic Offset Table, offset of each fragment from the end of the table (PS3.5 A.4), and the fragments.

    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    length = struct.unpack_from("<I", value[:8], 4)[0] if len(value) >= 8 else 0
    table = _numbers(value[8 : 8 + length], 4)
    content = list(fragments(value))
    starts, at = [], 0
    for fragment in content:
        starts.append(at)
        at += 8 + len(fragment)
    return table, starts, content


def _numbers(data: bytes, width: int) -> list[int]:
    if len(data) % width:
        raise UnsupportedPixels("the offset table contradicts the fragments")
    return [int(number) for number in np.frombuffer(data, f"<u{width}")]


def encapsulate(codestreams: list[bytes]) -> bytes:
    """The value of an encapsulated pixel data element, one fragment for each frame."""
    padded = [codestream + b"\0" * (len(codestream) % 2) for codestream in codestreams]
    starts = np.cumsum([0] + [8 + len(fragment) for fragment in padded[:-1]])
    table = b"" if int(starts[-1]) > _OFFSETS_MAX else starts.astype("<u4").tobytes()
    pieces = [struct.pack("<HHI", 0xFFFE, 0xE000, len(table)), table]
    for fragment in padded:
        pieces += [struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)), fragment]
    return b"".join([*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)])
