"""Losslessly compressed frames (PS3.5 A.4): one codestream to samples and back, and their encapsulation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames

from gateway.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED
from gateway.dicom.image import PixelFormat, Pixels, samples_of
from gateway.dicom.lazy_bytes import ByteRange, ByteSource, ByteSourceIO
from gateway.errors import UnsupportedPixels

RLE = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS_P14 = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"

LOSSLESS_SYNTAXES = frozenset(
    {RLE, JPEG_LOSSLESS_P14, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000, HTJ2K, HTJ2K_RPCL}
)
JPEG_2000_SYNTAXES = frozenset({JPEG_2000, HTJ2K, HTJ2K_RPCL})
# No encoder at hand writes RPCL progression with the TLM markers that PS3.5 asks of this syntax.
ENCODABLE_SYNTAXES = LOSSLESS_SYNTAXES - {HTJ2K_RPCL}

# Read only, to tell what became of a sealed object that somebody compressed with loss.
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSY = "1.2.840.10008.1.2.4.203"
LOSSY_SYNTAXES = frozenset({JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, JPEG_2000_LOSSY, HTJ2K_LOSSY})

_JPEG_LOSSLESS = frozenset({JPEG_LOSSLESS_P14, JPEG_LOSSLESS_SV1})
_JPEG_LS_FAMILY = frozenset({JPEG_LS, JPEG_LS_NEAR})
_JPEG_FAMILY = _JPEG_LOSSLESS | _JPEG_LS_FAMILY | {JPEG_BASELINE, JPEG_EXTENDED}
_FRAME_HEADERS = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
)
_OFFSETS_MAX = 0xFFFFFFFF


def frames(value: ByteSource, shape: PixelFormat, offsets: tuple[bytes, bytes] | None) -> Iterator[bytes]:
    """The codestream of each frame. offsets: Extended Offset Table and its lengths, when the object has them.

    value: the pixel data element's value, from its Basic Offset Table to its delimiter.
    """
    try:
        yield from generate_frames(
            value if isinstance(value, bytes) else ByteSourceIO(value),
            number_of_frames=shape.frames,
            extended_offsets=offsets,
        )
    except (ValueError, struct.error, EOFError) as error:
        raise UnsupportedPixels("the encapsulated pixel data can't be cut into frames") from error


def fragments(value: ByteSource) -> Iterator[ByteSource]:
    """The content of each fragment, Basic Offset Table excluded; not read yet. Raises UnsupportedPixels."""
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


def decode(codestream: bytes, syntax: str, shape: PixelFormat) -> Pixels:
    """The samples of one frame, (rows, columns, samples). Raises UnsupportedPixels."""
    if syntax not in LOSSLESS_SYNTAXES | LOSSY_SYNTAXES:
        raise UnsupportedPixels(f"the transfer syntax {syntax} is not decoded here")
    try:
        if syntax == RLE:
            return samples_of(_decode_rle(codestream, shape), shape)
        _check_declared_size(codestream, syntax, shape)
        words = _decode_stream(codestream, syntax)
    except (RuntimeError, ValueError, IndexError, OverflowError, MemoryError, struct.error) as error:
        raise UnsupportedPixels("a compressed frame does not decode") from error
    if words.ndim == 2:
        words = words[..., np.newaxis]
    if words.shape != shape.shape[1:]:
        raise UnsupportedPixels("a compressed frame has another size than declared")
    size = max(shape.allocated // 8, words.dtype.itemsize)
    if size > max(shape.allocated // 8, 1):
        raise UnsupportedPixels("a compressed frame has more bits than allocated")
    # Through the signed type, so that negative values of signed codestreams keep their bits.
    return samples_of(words.astype(f"i{size}").view(f"u{size}") if words.dtype.kind == "i" else words, shape)


def encode(samples: NDArray[Any], syntax: str, shape: PixelFormat) -> bytes:
    """One frame (rows, columns, samples) as a lossless codestream. Raises UnsupportedPixels."""
    if syntax not in ENCODABLE_SYNTAXES:
        raise UnsupportedPixels(f"the transfer syntax {syntax} is not encoded here")
    try:
        if syntax == RLE:
            return _encode_rle(samples, shape)
        plane = np.ascontiguousarray(samples[..., 0] if shape.samples == 1 else samples)
        if syntax in _JPEG_FAMILY:
            # These carry no sign: the bits of the value, BitsStored wide (PS3.5 8.2.1, 8.2.3).
            size = plane.dtype.itemsize
            plane = plane.view(f"u{size}") & np.array((1 << shape.depth) - 1, f"u{size}")
            plane = plane.astype(np.uint8) if shape.depth <= 8 else plane
        return _encode_stream(plane, syntax, shape)
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedPixels(f"the frame can't be written in {syntax}") from error


def encapsulate(codestreams: list[bytes]) -> bytes:
    """The value of an encapsulated pixel data element, one fragment a frame (PS3.5 A.4)."""
    padded = [stream + b"\0" * (len(stream) % 2) for stream in codestreams]
    starts = np.cumsum([0] + [8 + len(stream) for stream in padded[:-1]])
    table = b"" if int(starts[-1]) > _OFFSETS_MAX else starts.astype("<u4").tobytes()
    pieces = [struct.pack("<HHI", 0xFFFE, 0xE000, len(table)), table]
    for stream in padded:
        pieces += [struct.pack("<HHI", 0xFFFE, 0xE000, len(stream)), stream]
    return b"".join([*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)])


def _decode_stream(codestream: bytes, syntax: str) -> NDArray[Any]:
    if syntax in _JPEG_LS_FAMILY:
        return np.asarray(imagecodecs.jpegls_decode(codestream))
    if syntax in _JPEG_LOSSLESS:
        return np.ascontiguousarray(imagecodecs.jpegsof3_decode(codestream))
    if syntax in _JPEG_FAMILY:
        return np.asarray(imagecodecs.jpeg8_decode(codestream))
    return np.asarray(imagecodecs.jpeg2k_decode(codestream))


def _encode_stream(plane: NDArray[Any], syntax: str, shape: PixelFormat) -> bytes:
    color = shape.photometric in {"YBR_RCT", "YBR_ICT"}
    if syntax == JPEG_LS:
        # The precision is that of the header, not of the largest value: other readers extend the sign from it.
        rows, columns = plane.shape[:2]
        interleave = 2 if shape.samples > 1 else 0
        return bytes(
            jpeg_ls.encode_buffer(
                plane.tobytes(), rows, columns, shape.samples, shape.depth, interleave_mode=interleave
            )
        )
    if syntax == JPEG_2000:
        return bytes(
            imagecodecs.jpeg2k_encode(
                plane, level=0, reversible=True, codecformat="j2k", bitspersample=shape.depth, mct=color
            )
        )
    if syntax == HTJ2K:
        return bytes(imagecodecs.htj2k_encode(plane, reversible=True, rgb=color))
    space = (
        "rgb" if shape.samples == 3 else None
    )  # no colour transform: the components are written as they are
    return bytes(
        imagecodecs.jpeg8_encode(
            plane,
            lossless=True,
            predictor=1,
            bitspersample=shape.depth,
            colorspace=space,
            outcolorspace=space,
        )
    )


def _check_declared_size(codestream: bytes, syntax: str, shape: PixelFormat) -> None:
    """Refuse before decoding when the codestream claims another size: it would decide how much memory is
    taken.
    """
    if syntax in _JPEG_FAMILY:
        rows, columns = _jpeg_size(codestream)
    else:
        at = codestream.find(b"\xff\x4f\xff\x51")
        if at < 0:
            raise ValueError("no JPEG 2000 codestream")
        width, height, left, top = struct.unpack_from(">IIII", codestream, at + 8)
        rows, columns = height - top, width - left
    if (rows, columns) != (shape.rows, shape.columns):
        raise UnsupportedPixels("a compressed frame has another size than declared")


def _jpeg_size(codestream: bytes) -> tuple[int, int]:
    """Rows and columns of the first frame header (ITU-T T.81 B.2.2)."""
    at = 2
    while at + 9 <= len(codestream):
        if codestream[at] != 0xFF:
            raise ValueError("a JPEG marker is missing")
        marker = codestream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", codestream, at + 5)
            return rows, columns
        at += 2 + struct.unpack_from(">H", codestream, at + 2)[0]
    raise ValueError("no JPEG frame header")


def _decode_rle(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    """PS3.5 annex G: a segment for each byte of each sample, most significant byte first."""
    size = max(shape.allocated // 8, 1)
    count, *offsets = struct.unpack_from("<16I", codestream)
    if shape.allocated == 1 or count != size * shape.samples:
        raise ValueError("the RLE header has another number of segments than the samples need")
    pixels = shape.rows * shape.columns
    planes = np.empty((shape.samples, size, pixels), np.uint8)
    limits = [*offsets[:count], len(codestream)]
    for segment in range(count):
        run = imagecodecs.packbits_decode(codestream[limits[segment] : limits[segment + 1]], out=pixels)
        plane = np.frombuffer(run, np.uint8)
        if plane.size < pixels:
            raise ValueError("an RLE segment is too short")
        planes[segment // size, size - 1 - segment % size] = plane[:pixels]
    words = np.ascontiguousarray(planes.transpose(2, 0, 1)).view(f"<u{size}")
    return words.reshape(shape.shape[1:])


def _encode_rle(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    if shape.allocated == 1:
        raise ValueError("1-bit samples are not written in RLE here")
    size = shape.allocated // 8
    words = np.ascontiguousarray(samples).view(f"u{size}").astype(f"<u{size}", copy=False)
    planes = words.view(np.uint8).reshape(shape.rows, shape.columns, shape.samples, size)
    segments: list[bytes] = []
    for sample in range(shape.samples):
        for byte in reversed(range(size)):
            plane = np.ascontiguousarray(planes[:, :, sample, byte])
            run = b"".join(bytes(imagecodecs.packbits_encode(row)) for row in plane)  # rows apart, G.3.1
            segments.append(run + b"\0" * (len(run) % 2))
    offsets = [64 + sum(map(len, segments[:position])) for position in range(len(segments))]
    head = struct.pack("<16I", len(segments), *offsets, *([0] * (15 - len(segments))))
    return head + b"".join(segments)
