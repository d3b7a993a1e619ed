"""The way from the pixel data of an object to samples and back, in its transfer syntax or another lossless one."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from gateway.dicom import compressed, encapsulation
from gateway.dicom.elements import (
    IMPLICIT_LE,
    UNDEFINED,
    Element,
    Encoding,
    encode,
    items,
    walk,
)
from gateway.dicom.image import (
    HighBits,
    PixelFormat,
    Pixels,
    frame_count,
    from_native,
    pixel_format,
    to_native,
    words_of,
)
from gateway.dicom.lazy_bytes import ByteRange, ByteSource
from gateway.dicom.part10 import Part10, read
from gateway.dicom.recoding import recoded
from gateway.dicom.syntaxes import EXPLICIT_VR_LE, syntax_of
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    ICON_IMAGE,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
)
from gateway.errors import UnsupportedPixels

# No more decoded samples than this are held in memory: one worker would take gigabytes.
SAMPLES_MAX = 1 << 28


def decode(file: Part10, shape: PixelFormat) -> Pixels:
    """All frames of an object. Frames in lossy syntaxes are decoded too, if there is a decoder; they are never sealed.

    Raises UnsupportedPixels when the syntax has no decoder, or the pixel data is damaged or too large.
    """
    element = _pixel_data(file, shape)
    if not element.undefined:
        value = file.body[element.value : element.end]
        return from_native(value, shape, little=file.encoding.little, wide_words=element.vr != b"OB")
    frames = list(_decompressed(file, element, shape))
    return Pixels(
        np.stack([frame.samples for frame in frames]), _common({frame.high_bits for frame in frames})
    )


def decode_in_pieces(file: Part10, shape: PixelFormat) -> Iterator[Pixels]:
    """All frames of an object as `decode` gives them, in order, usually one at a time.

    The pieces may differ in their high bits; `in_common` checks that.

    Raises UnsupportedPixels as `decode` does.
    """
    element = _pixel_data(file, shape)
    if element.undefined:
        for frame in _decompressed(file, element, shape):
            yield Pixels(frame.samples[np.newaxis], frame.high_bits)
        return
    wide = element.vr != b"OB"
    swapped = shape.allocated == 8 and not file.encoding.little and wide
    if shape.allocated == 1 or swapped:
        # Frames may share bytes here. All of them take an eighth or half of the memory that samples may take.
        yield decode(file, shape)
        return
    if element.end - element.value < shape.byte_count:
        raise UnsupportedPixels("the pixel data is shorter than declared")
    single = replace(shape, frames=1)
    for number in range(shape.frames):
        at = element.value + number * single.byte_count
        value = file.body[at : at + single.byte_count]
        yield from_native(value, single, little=file.encoding.little, wide_words=wide)


def in_common(pieces: Iterable[Pixels], file: Part10) -> Iterator[Pixels]:
    """The pieces of `decode_in_pieces`, as long as their high bits agree.

    Raises UnsupportedPixels as soon as bits above Bits Stored are in use.
    """
    signs = zeros = False
    native = syntax_of(file.transfer_syntax).native
    for piece in pieces:
        signs |= piece.high_bits is HighBits.SIGN and bool(piece.samples.min() < 0)
        zeros |= piece.high_bits is HighBits.ZERO
        if piece.high_bits is HighBits.OTHER or (native and signs and zeros):
            raise UnsupportedPixels("bits above Bits Stored are in use")
        yield piece


def _pixel_data(file: Part10, shape: PixelFormat) -> Element:
    """The pixel data element.

    Raises UnsupportedPixels when it is missing, too large, or not in the form of its transfer syntax.
    """
    element = file.index.get(PIXEL_DATA)
    if element is None:
        raise UnsupportedPixels("the object has no Pixel Data")
    if shape.sample_count > SAMPLES_MAX:
        raise UnsupportedPixels("the object declares more samples than are decoded here")
    native = syntax_of(file.transfer_syntax).native
    if not element.undefined and not native:
        raise UnsupportedPixels("the pixel data is not encapsulated as its transfer syntax demands")
    if element.undefined and native:
        raise UnsupportedPixels("the pixel data is encapsulated against its transfer syntax")
    return element


def _decompressed(file: Part10, element: Element, shape: PixelFormat) -> Iterator[Pixels]:
    """Each frame, (rows, columns, samples).

    Raises UnsupportedPixels when a frame does not decode, or when there are more or fewer frames than declared.
    """
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    if file.in_memory:
        value = value[:]
    count = 0
    for codestream in encapsulation.frames(value, shape.frames, _extended_offsets(file)):
        count += 1
        yield compressed.decode(codestream, file.transfer_syntax, shape)
    if count != shape.frames:
        raise UnsupportedPixels("the number of compressed frames differs from Number of Frames")


def codestreams(file: Part10) -> list[list[ByteSource]]:
    """The fragments of each frame of encapsulated pixel data, not read yet; those of a video as one frame.

    Raises UnsupportedPixels when frames can't be told, or offset tables contradict the fragments.
    """
    element = file.index[PIXEL_DATA]
    frames = frame_count(file)
    offsets, lengths = file.value(EXTENDED_OFFSET_TABLE), file.value(EXTENDED_OFFSET_TABLE_LENGTHS)
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    count = 0 if syntax_of(file.transfer_syntax).video else frames
    return encapsulation.units(value, count, (offsets, lengths or b"") if offsets else None)


def native_value(file: Part10) -> ByteSource:
    """Native pixel data in little endian, with all that stands behind the declared pixels; read only if it must."""
    element = file.index[PIXEL_DATA]
    value: ByteSource = ByteRange(file.body, element.value, element.end)
    if file.encoding.little or element.vr == b"OB":
        return value
    width = 4 if (file.number(BITS_ALLOCATED) or 0) > 16 else 2
    words = value[: len(value) // width * width]
    return np.frombuffer(words, f"u{width}").byteswap().tobytes() + value[len(words) : len(value)]


def encoded(file: Part10, pixels: Pixels, shape: PixelFormat, syntax: str) -> dict[int, bytes | None]:
    """Edits that put pixels into an object. Bytes of a native value beyond the declared pixels stay.

    syntax: lossless, and with the element encoding of the file.
    Raises UnsupportedPixels when the syntax has no encoder, or can't hold these pixels.
    """
    element, target = file.index[PIXEL_DATA], syntax_of(syntax)
    if target.native:
        wide = element.vr != b"OB" if not element.undefined else shape.allocated > 8
        value = to_native(pixels, shape, little=file.encoding.little, wide_words=wide)
        tail = b"" if element.undefined else file.body[element.value + len(value) : element.end]
        edits: dict[int, bytes | None] = {
            PIXEL_DATA: encode(
                PIXEL_DATA, b"OW" if wide else b"OB", value + tail if tail else value, file.encoding
            )
        }
    else:
        if pixels.high_bits is HighBits.OTHER and not target.whole_words:
            raise UnsupportedPixels("bits above Bits Stored are in use and would be lost")
        samples = words_of(pixels, shape) if target.whole_words else pixels.samples
        value = encapsulation.encapsulate([compressed.encode(frame, syntax, shape) for frame in samples])
        head = struct.pack("<HH2sHI", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF, b"OB", 0, UNDEFINED)
        edits = {PIXEL_DATA: head + value}
    for tag in (EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS):
        if tag in file.index:
            edits[tag] = None
    if shape.photometric == "YBR_RCT" and not target.ybr_rct:
        edits[PHOTOMETRIC_INTERPRETATION] = encode(PHOTOMETRIC_INTERPRETATION, b"CS", b"RGB", file.encoding)
    return edits


def transcode(data: bytes, target_syntax: str) -> bytes:
    """The same object in another lossless transfer syntax.

    Raises UnsupportedPixels when its pixels are lossy, do not decode, have no encoder, or have more bits than big
    endian words or the encoder.
    Raises UnreadableObject when it can't be parsed.
    """
    file = read(data)
    if file.transfer_syntax == target_syntax:
        return data
    source, target = syntax_of(file.transfer_syntax), syntax_of(target_syntax)
    if not (source.reversible and target.reversible):
        raise UnsupportedPixels(f"no lossless way from {file.transfer_syntax} to {target_syntax}")
    if PIXEL_DATA not in file.index and not target.native:
        raise UnsupportedPixels("an object without Pixel Data has no compressed transfer syntax")
    native = file if source.native else _rewritten(file, EXPLICIT_VR_LE)
    if not target.native:
        return _rewritten(_recoded(native, EXPLICIT_VR_LE), target_syntax).edited({})
    return _recoded(native, target_syntax).edited({})


def _rewritten(file: Part10, syntax: str) -> Part10:
    """The file with its pixel data in another syntax of the same element encoding.

    An icon, or a private sequence, with pixel data that is encoded for the old syntax can be read in no other
    (PS3.5 A.4). It is left out.

    Raises UnsupportedPixels when another sequence has such pixel data, or the pixels can't be transcoded.
    """
    shape = pixel_format(file)
    edits = encoded(file, decode(file, shape), shape, syntax)
    for tag in with_encoded_items(file):
        if tag != ICON_IMAGE and not tag >> 16 & 1:
            raise UnsupportedPixels(f"encapsulated pixel data in ({tag >> 16:04X},{tag & 0xFFFF:04X})")
        edits[tag] = None
    return read(file.edited(edits, syntax=syntax))


def with_encoded_items(file: Part10) -> set[int]:
    """The tags of the sequences whose items, at any depth, have encapsulated pixel data.

    Raises UnreadableObject when a sequence is damaged.
    """
    return {
        element.tag
        for element in file.elements
        if _is_sequence(element) and _has_encoded_items(file.body, element, file.encoding)
    }


def _is_sequence(element: Element) -> bool:
    return element.tag != PIXEL_DATA and (element.vr == b"SQ" or element.undefined)


def _has_encoded_items(body: ByteSource, element: Element, encoding: Encoding) -> bool:
    inner = IMPLICIT_LE if element.vr == b"UN" else encoding
    return any(
        (inside.tag == PIXEL_DATA and inside.undefined)
        or (_is_sequence(inside) and _has_encoded_items(body, inside, inner))
        for item in items(body, element, inner)
        for inside in walk(body, item.value, item.stop, inner)
    )


def _recoded(file: Part10, syntax: str) -> Part10:
    """The file with its elements in another encoding. Pixel data is native before and after."""
    target = syntax_of(syntax).encoding
    if target.little != file.encoding.little:
        file = _with_words(file)
    body = file.body
    if target != file.encoding:
        body = recoded(body[:], file.encoding, target, signed=file.number(PIXEL_REPRESENTATION, 0) == 1)
    return file.with_body(body, syntax, target)


def _with_words(file: Part10) -> Part10:
    """The file with Pixel Data of more than 8 bits in OW, as it must be (PS3.5 A): OB would keep its byte order.

    Raises UnsupportedPixels when the order of the bytes in big endian is not the same to all readers.
    """
    element, allocated = file.index.get(PIXEL_DATA), file.number(BITS_ALLOCATED) or 0
    if element is None or allocated <= 8:
        return file
    if allocated > 16:
        raise UnsupportedPixels("pixels of more than 16 bits are not written in another byte order")
    if element.vr != b"OB":
        return file
    value = file.body[element.value : element.end]
    return read(file.edited({PIXEL_DATA: encode(PIXEL_DATA, b"OW", value, file.encoding)}))


def _extended_offsets(file: Part10) -> tuple[bytes, bytes] | None:
    offsets, lengths = file.value(EXTENDED_OFFSET_TABLE), file.value(EXTENDED_OFFSET_TABLE_LENGTHS)
    return (offsets, lengths) if offsets and lengths else None


def _common(kinds: set[HighBits]) -> HighBits:
    """The high bits of all frames together.

    A frame without negative values looks zero-filled either way. One frame with other bits decides for all.
    """
    if len(kinds) == 1:
        return kinds.pop()
    return HighBits.OTHER if HighBits.OTHER in kinds else HighBits.SIGN
