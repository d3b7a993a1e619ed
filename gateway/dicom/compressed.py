"""Compressed frames: one codestream to samples and back. Which codec a transfer syntax has, says `syntaxes.toml`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray

from gateway.dicom import rle
from gateway.dicom.image import PixelFormat, Pixels, samples_of
from gateway.dicom.syntaxes import syntax_of
from gateway.errors import UnsupportedPixels

# A codestream to the samples of one frame, (rows, columns) or (rows, columns, samples). The size that the codestream
# claims must be compared with the declared one before decoding: it decides how much memory is taken.
Decoder = Callable[[bytes, PixelFormat], NDArray[Any]]
# One frame, (rows, columns, samples), to a lossless codestream.
Encoder = Callable[[NDArray[Any], PixelFormat], bytes]

_DEPTH_MAX = 16
_FRAME_HEADERS = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
)


def decode(codestream: bytes, syntax: str, shape: PixelFormat) -> Pixels:
    """The samples of one frame, (rows, columns, samples).

    Raises UnsupportedPixels when the syntax has no decoder, or the frame is damaged or of another size.
    """
    decoder = DECODERS.get(syntax_of(syntax).decoder)
    if decoder is None:
        raise UnsupportedPixels(f"the transfer syntax {syntax} is not decoded here")
    try:
        words = decoder(codestream, shape)
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
    """One frame, (rows, columns, samples), as a lossless codestream.

    Raises UnsupportedPixels when the syntax has no encoder, or the encoder can't write these samples.
    """
    name = syntax_of(syntax).encoder
    encoder = ENCODERS.get(name)
    if encoder is None:
        raise UnsupportedPixels(f"the transfer syntax {syntax} is not encoded here")
    if shape.depth > _DEPTH_MAX and name != "rle":
        # OpenJPEG and OpenJPH take them, and do not give them back.
        raise UnsupportedPixels(f"more than {_DEPTH_MAX} bits are not written in {syntax}")
    try:
        return encoder(samples, shape)
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedPixels(f"the frame can't be written in {syntax}") from error


def _decode_jpeg_ls(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    _check_jpeg_size(codestream, shape)
    return np.asarray(imagecodecs.jpegls_decode(codestream))


def _decode_jpeg_lossless(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    _check_jpeg_size(codestream, shape)
    return np.ascontiguousarray(imagecodecs.jpegsof3_decode(codestream))


def _decode_jpeg(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    _check_jpeg_size(codestream, shape)
    return np.asarray(imagecodecs.jpeg8_decode(codestream))


def _decode_jpeg_2000(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    _check_jpeg_2000_size(codestream, shape)
    return np.asarray(imagecodecs.jpeg2k_decode(codestream))


def _encode_jpeg_ls(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    """The precision is that of the header, not of the largest value: other readers extend the sign from it."""
    plane = _without_sign(samples, shape)
    rows, columns = plane.shape[:2]
    interleave = 2 if shape.samples > 1 else 0
    return bytes(
        jpeg_ls.encode_buffer(
            plane.tobytes(), rows, columns, shape.samples, shape.depth, interleave_mode=interleave
        )
    )


def _encode_jpeg_lossless(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    """Without a colour transform: the components are written as they are."""
    space = "rgb" if shape.samples == 3 else None
    return bytes(
        imagecodecs.jpeg8_encode(
            _without_sign(samples, shape),
            lossless=True,
            predictor=1,
            bitspersample=shape.depth,
            colorspace=space,
            outcolorspace=space,
        )
    )


def _encode_jpeg_2000(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            _plane(samples, shape),
            level=0,
            reversible=True,
            codecformat="j2k",
            bitspersample=shape.depth,
            mct=_has_transformed_color(shape),
        )
    )


def _encode_htj2k(samples: NDArray[Any], shape: PixelFormat) -> bytes:
    return bytes(
        imagecodecs.htj2k_encode(_plane(samples, shape), reversible=True, rgb=_has_transformed_color(shape))
    )


# The names are those of the columns `decoder` and `encoder` of syntaxes.toml.
DECODERS: dict[str, Decoder] = {
    "rle": rle.decode,
    "jpeg-ls": _decode_jpeg_ls,
    "jpeg-lossless": _decode_jpeg_lossless,
    "jpeg": _decode_jpeg,
    "jpeg-2000": _decode_jpeg_2000,
}
ENCODERS: dict[str, Encoder] = {
    "rle": rle.encode,
    "jpeg-ls": _encode_jpeg_ls,
    "jpeg-lossless": _encode_jpeg_lossless,
    "jpeg-2000": _encode_jpeg_2000,
    "htj2k": _encode_htj2k,
}


def _plane(samples: NDArray[Any], shape: PixelFormat) -> NDArray[Any]:
    """The frame as encoders take it: (rows, columns), in colour (rows, columns, samples)."""
    return np.ascontiguousarray(samples[..., 0] if shape.samples == 1 else samples)


def _without_sign(samples: NDArray[Any], shape: PixelFormat) -> NDArray[Any]:
    """For codecs that carry no sign: the bits of the value, BitsStored wide (PS3.5 8.2.1, 8.2.3)."""
    plane = _plane(samples, shape)
    size = plane.dtype.itemsize
    bits: NDArray[Any] = plane.view(f"u{size}") & np.array((1 << shape.depth) - 1, f"u{size}")
    return bits.astype(np.uint8) if shape.depth <= 8 else bits


def _has_transformed_color(shape: PixelFormat) -> bool:
    return shape.photometric in {"YBR_RCT", "YBR_ICT"}


def _check_jpeg_size(codestream: bytes, shape: PixelFormat) -> None:
    """Raises UnsupportedPixels for another size than declared, ValueError for what is not JPEG."""
    _check_size(*_jpeg_size(codestream), shape)


def _check_jpeg_2000_size(codestream: bytes, shape: PixelFormat) -> None:
    """Raises UnsupportedPixels for another size than declared, ValueError for what is not JPEG 2000."""
    at = codestream.find(b"\xff\x4f\xff\x51")
    if at < 0:
        raise ValueError("no JPEG 2000 codestream")
    width, height, left, top = struct.unpack_from(">IIII", codestream, at + 8)
    _check_size(height - top, width - left, shape)


def _check_size(rows: int, columns: int, shape: PixelFormat) -> None:
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
