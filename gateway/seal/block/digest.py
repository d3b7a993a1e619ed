"""Digests: BLAKE3 over canonical serialisations, so that a lossless re-encoding keeps them (FORMAT.md, "Digest")."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from gateway.dicom.elements import (
    IMPLICIT_LE,
    Element,
    Encoding,
    items,
    walk,
)
from gateway.dicom.encapsulation import fragments
from gateway.dicom.image import PixelFormat, swapped_pairs
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, pieces
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import codestreams, native_value
from gateway.dicom.tags import NUMBER_OF_FRAMES, PHOTOMETRIC_INTERPRETATION, PIXEL_DATA
from gateway.errors import UnreadableObject
from gateway.seal.block.statement import TILE_EDGES
from gateway.seal.record.fields import comparable_value, field

TILE_DIGEST_BYTES = 4
HEADER_DIGEST_BYTES = 8
_TILES_MIN = 64
_NESTING_MAX = 60

_PADDED_WITH_SPACES = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT", "UI"}
)
_WORD_BYTES = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
_WORD_BYTES |= {"FD": 8, "OD": 8, "SV": 8, "UV": 8, "OV": 8}

# Samples per Pixel, Planar Configuration, Rows, Columns, Bits Allocated, Bits Stored, High Bit, Pixel Representation.
_SHAPE = (0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103)

# Frame, row, column, height, width; counted from 0.
Tile = tuple[int, int, int, int, int]


def canonical(samples: NDArray[Any], depth: int) -> NDArray[Any]:
    """Samples as they are hashed: contiguous, little endian, in 1 byte up to 8 bits, 2 bytes up to 16, otherwise 4."""
    size = 1 if depth <= 8 else 2 if depth <= 16 else 4
    return np.ascontiguousarray(samples).astype(f"<{samples.dtype.kind}{size}", copy=False)


def of_pixels(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    """32 bytes over samples.

    samples: (frames, rows, columns, samples), stored values.
    """
    engine = PixelDigest(samples.shape[0], shape)
    engine.update(samples)
    return engine.digest()


class PixelDigest:
    """What `of_pixels` gives, for frames that come one after another."""

    def __init__(self, frames: int, shape: PixelFormat) -> None:
        """frames: how many will come in all."""
        self._depth = shape.depth
        head = struct.pack(
            "<IIIIBB", frames, shape.rows, shape.columns, shape.samples, shape.depth, shape.signed
        )
        self._engine = blake3(b"sealgate pixels v1\0" + head)

    def update(self, samples: NDArray[Any]) -> None:
        """Add the next frames."""
        self._engine.update(canonical(samples, self._depth).data.cast("B"))

    def digest(self) -> bytes:
        """32 bytes."""
        return self._engine.digest()


def of_fragments(file: Part10) -> bytes:
    """32 bytes over pixel data as it is encoded, as format version 1 has it.

    Raises UnsupportedPixels when the encapsulation is damaged.
    """
    element = file.index[PIXEL_DATA]
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    engine = blake3(b"sealgate fragments v1\0")
    for fragment in fragments(value) if element.undefined else [value]:
        for piece in pieces(fragment):
            engine.update(piece)
    return engine.digest()


def of_encoded(file: Part10) -> bytes:
    """32 bytes over pixel data as it is encoded, with its transfer syntax, its shape and the borders of its frames.

    Native pixel data counts in little endian, whatever its transfer syntax is.
    Raises UnsupportedPixels when frames can't be told in encapsulated pixel data.
    """
    element, little = file.index[PIXEL_DATA], file.encoding.little
    if element.undefined:
        form, parts = file.transfer_syntax, codestreams(file)
    else:
        form, parts = "native", [[native_value(file)]]
    shape = [file.value(tag) for tag in _SHAPE]
    numbers = [-1 if not value else int.from_bytes(value, "little" if little else "big") for value in shape]
    layout = " ".join(
        [form, file.text(PHOTOMETRIC_INTERPRETATION), file.text(NUMBER_OF_FRAMES) or "1", *map(str, numbers)]
    )
    engine = blake3(b"sealgate fragments v2\0" + layout.encode("utf-8") + struct.pack("<BI", 0, len(parts)))
    for part in parts:
        engine.update(struct.pack("<Q", sum(map(len, part))))
        for fragment in part:
            for piece in pieces(fragment):
                engine.update(piece)
    return engine.digest()


def of_table(encoded_table: bytes) -> bytes:
    """32 bytes over the signed header, which is all that there is to an object without pixel data."""
    return blake3(b"sealgate dataset v2\0" + encoded_table).digest()


def tile_edge(frames: int, rows: int, columns: int) -> int:
    """The edge of a tile in pixels: 64, or less in small objects.

    So "changed all over" and "changed at one place" can be told apart in them too.
    """
    for edge in TILE_EDGES:
        if frames * -(-rows // edge) * -(-columns // edge) >= _TILES_MIN:
            return edge
    return TILE_EDGES[-1]


def tiles(frames: int, rows: int, columns: int, edge: int) -> list[Tile]:
    """All tiles, in the order of frame, row, column."""
    return [
        (frame, row, column, min(edge, rows - row), min(edge, columns - column))
        for frame in range(frames)
        for row in range(0, rows, edge)
        for column in range(0, columns, edge)
    ]


def of_tiles(samples: NDArray[Any], shape: PixelFormat, edge: int, *, first: int = 0) -> bytes:
    """4 bytes for each tile, in order.

    samples: leading or later frames of an object.
    edge: of a tile, in pixels.
    first: number of the first of these frames.
    """
    plain = canonical(samples, shape.depth)
    digests = []
    for tile in tiles(plain.shape[0], plain.shape[1], plain.shape[2], edge):
        frame, row, column, height, width = tile
        part = plain[frame, row : row + height, column : column + width].tobytes()
        place = struct.pack("<IIIII", first + frame, *tile[1:])
        digests.append(blake3(b"sealgate tile v1\0" + place + part).digest(TILE_DIGEST_BYTES))
    return b"".join(digests)


def of_header(file: Part10, keywords: Iterable[str], salt: bytes) -> dict[int, bytes]:
    """For each identity field, tag -> 8 bytes that tell whether it changed, and do not tell its value."""
    key = blake3(salt, derive_key_context="sealgate header field v1").digest()
    digests: dict[int, bytes] = {}
    for keyword in keywords:
        identity_field = field(keyword)
        content = struct.pack("<I", identity_field.tag) + comparable_value(file, identity_field).encode()
        digests[identity_field.tag] = blake3(content, key=key).digest(HEADER_DIGEST_BYTES)
    return digests


def of_dataset(file: Part10, left_out: frozenset[int]) -> bytes:
    """32 bytes over the standard elements of an object without its group lengths.

    They do not depend on implicit or explicit VR, byte order, padding, or defined or undefined lengths.

    left_out: tags of the identity fields, which are not hashed here either.
    Raises UnreadableObject when sequences are nested more than 60 deep.
    """
    engine = blake3(b"sealgate dataset v1\0")
    kept = [element for element in file.elements if element.tag not in left_out]
    for piece in _canonical_elements(file.body, kept, file.encoding, 0):
        engine.update(piece)
    return engine.digest()


def _canonical_elements(
    body: ByteSource, elements: list[Element], encoding: Encoding, deep: int
) -> Iterable[bytes]:
    if deep > _NESTING_MAX:
        raise UnreadableObject("sequences are nested too deeply")
    for element in elements:
        if element.group % 2 or element.tag & 0xFFFF == 0 or element.tag == 0xFFFCFFFC:
            # Private, group length, trailing padding.
            continue
        vr = _vr(element)
        if vr != "SQ":
            yield from _canonical_element(body, element, vr, encoding)
            continue
        inner = encoding
        if element.vr == b"UN":
            inner = IMPLICIT_LE
        sequence_items = items(body, element, inner)
        yield struct.pack("<IBQ", element.tag, 1, len(sequence_items))
        for sequence_item in sequence_items:
            inside = walk(body, sequence_item.value, sequence_item.stop, inner)
            yield b"item"
            yield from _canonical_elements(body, inside, inner, deep + 1)
        yield b"end."


def _canonical_element(body: ByteSource, element: Element, vr: str, encoding: Encoding) -> Iterator[bytes]:
    """A value that is hashed as it stands is read in pieces, because it may be larger than memory."""
    value: ByteSource = ByteRange(body, element.value, element.end)
    if vr in _PADDED_WITH_SPACES or not encoding.little:
        value = _canonical_value(value[:], vr, encoding)
    yield struct.pack("<IBQ", element.tag, 0, len(value))
    yield from pieces(value)


def _vr(element: Element) -> str:
    """The VR as written, or that of the dictionary when the file does not tell it (implicit, UN)."""
    if element.undefined and element.tag != PIXEL_DATA:
        return "SQ"
    if element.vr not in (None, b"UN"):
        return (element.vr or b"").decode()
    return dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else "UN"


def _canonical_value(value: bytes, vr: str, encoding: Encoding) -> bytes:
    if vr in _PADDED_WITH_SPACES:
        return value.rstrip(b" \0")
    if encoding.little:
        return value
    if vr == "OW" or " or " in vr:
        return swapped_pairs(value)
    width = _WORD_BYTES.get(vr, 1)
    if width == 1 or len(value) % width:
        return value
    return np.frombuffer(value, f"u{width}").byteswap().tobytes()
