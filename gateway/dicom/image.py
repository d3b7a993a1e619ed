"""How pixel data is laid out (PS3.3 C.7.6.3, PS3.5 8), and the way from native pixel data to samples and back.

Native means uncompressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.dicom.part10 import Part10
from gateway.dicom.tags import (
    BITS_ALLOCATED,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
)
from gateway.errors import UnsupportedPixels

_INTEGER_STRING_MAX = 12


class HighBits(StrEnum):
    """What stands above BitsStored in each allocated word."""

    ZERO = "zero"
    # The sign bit, repeated.
    SIGN = "sign"
    # Something else, such as overlays (PS3.5 8.1.1, retired).
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """The layout that an object declares.

    rows, columns: pixels.
    frames, samples: number of frames, and of samples in each pixel.
    allocated, stored: Bits Allocated and Bits Stored.
    high_bit: number of the highest bit that is stored, from 0.
    signed: Pixel Representation is 1.
    planar: Planar Configuration.
    photometric: Photometric Interpretation.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: int
    photometric: str

    @property
    def depth(self) -> int:
        """Number of bits that carry the value of a sample: BitsStored, or the whole word when HighBit is unusual."""
        return self.stored if self.high_bit == self.stored - 1 else self.allocated

    @property
    def sample_count(self) -> int:
        """Number of samples in all frames."""
        return self.frames * self.rows * self.columns * self.samples

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, rows, columns, samples)."""
        return (self.frames, self.rows, self.columns, self.samples)

    @property
    def byte_count(self) -> int:
        """Length of the uncompressed pixel data in bytes, without padding."""
        return (self.sample_count * self.allocated + 7) // 8


@dataclass(frozen=True)
class Pixels:
    """Decoded pixel data.

    samples: (frames, rows, columns, samples), stored values, int8 to uint32 as PixelRepresentation says.
    high_bits: what stood above BitsStored in the words.
    """

    samples: NDArray[Any]
    high_bits: HighBits


def pixel_format(file: Part10) -> PixelFormat:
    """The layout that an object declares.

    Raises UnsupportedPixels when it is incomplete, contradicts itself or is not read here.
    """

    def required(tag: int, name: str) -> int:
        value = file.number(tag)
        if value is None:
            raise UnsupportedPixels(f"the object has no {name}")
        return value

    stored = required(0x00280101, "Bits Stored")
    layout = PixelFormat(
        rows=required(0x00280010, "Rows"),
        columns=required(0x00280011, "Columns"),
        frames=frame_count(file),
        samples=file.number(0x00280002, 1) or 1,
        allocated=required(BITS_ALLOCATED, "Bits Allocated"),
        stored=stored,
        high_bit=file.number(0x00280102, stored - 1) or 0,
        signed=file.number(PIXEL_REPRESENTATION, 0) == 1,
        planar=file.number(PLANAR_CONFIGURATION, 0) or 0,
        photometric=file.text(PHOTOMETRIC_INTERPRETATION),
    )
    if not (layout.rows and layout.columns and 0 < layout.stored <= layout.allocated):
        raise UnsupportedPixels("the object declares pixels of no size")
    if layout.allocated not in (1, 8, 16, 32):
        raise UnsupportedPixels(f"{layout.allocated} bits allocated are not read here")
    return layout


def frame_count(file: Part10) -> int:
    """Number of Frames; 1 where it is absent, empty or 0.

    Raises UnsupportedPixels when it is no number.
    """
    text = file.text(NUMBER_OF_FRAMES) or "1"
    # PS3.5 6.2: an IS has at most 12 characters. What `isdigit` takes for digits is more than `int` does.
    if len(text) > _INTEGER_STRING_MAX or not (text.isascii() and text.isdigit()):
        raise UnsupportedPixels("Number of Frames is not a number")
    return max(int(text), 1)


def from_native(value: bytes, shape: PixelFormat, *, little: bool, wide_words: bool) -> Pixels:
    """Samples of native pixel data.

    little: the byte order is little endian.
    wide_words: the VR is OW, whose 16-bit words are swapped in big endian even for 8-bit samples (PS3.5 8.1.1).
    Raises UnsupportedPixels when the value is shorter than declared, or pixels share chroma.
    """
    if shape.photometric == "YBR_FULL_422":
        raise UnsupportedPixels("YBR_FULL_422 shares chroma between neighbours")
    if len(value) < shape.byte_count:
        raise UnsupportedPixels("the pixel data is shorter than declared")
    if shape.allocated == 1:
        bits = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little", count=shape.sample_count)
        return Pixels(bits.reshape(shape.shape), HighBits.ZERO)
    if shape.allocated == 8 and not little and wide_words:
        value = swapped_pairs(value)
    order = "<" if little else ">"
    words = np.frombuffer(value, f"{order}u{shape.allocated // 8}", count=shape.sample_count)
    if shape.samples > 1 and shape.planar == 1:
        planes = words.reshape(shape.frames, shape.samples, shape.rows, shape.columns)
        words = np.moveaxis(planes, 1, -1)
    else:
        words = words.reshape(shape.shape)
    return samples_of(words.astype(f"u{shape.allocated // 8}", copy=False), shape)


def to_native(pixels: Pixels, shape: PixelFormat, *, little: bool, wide_words: bool) -> bytes:
    """The inverse of `from_native`, without padding."""
    if shape.allocated == 1:
        return np.packbits(pixels.samples, bitorder="little").tobytes()
    words = words_of(pixels, shape)
    if shape.samples > 1 and shape.planar == 1:
        words = np.moveaxis(words, -1, 1)
    order = "<" if little else ">"
    value = np.ascontiguousarray(words, f"{order}u{shape.allocated // 8}").tobytes()
    return swapped_pairs(value) if shape.allocated == 8 and not little and wide_words else value


def samples_of(words: NDArray[Any], shape: PixelFormat) -> Pixels:
    """The stored values in unsigned words of any width: masked to the depth, sign-extended when they are signed."""
    size = max(shape.allocated // 8, 1)
    words = words.astype(f"u{size}", copy=False)
    spare = 8 * size - shape.depth
    if not spare:
        return Pixels(words.view(f"i{size}") if shape.signed else words, HighBits.ZERO)
    if not shape.signed:
        if not int(words.max()) >> shape.depth:
            return Pixels(words, HighBits.ZERO)
        return Pixels(words & words.dtype.type((1 << shape.depth) - 1), HighBits.OTHER)
    samples = (words << spare).view(f"i{size}") >> spare
    if np.array_equal(samples.view(f"u{size}"), words):
        return Pixels(samples, HighBits.SIGN)
    masked = samples.view(f"u{size}") & words.dtype.type((1 << shape.depth) - 1)
    return Pixels(samples, HighBits.ZERO if np.array_equal(masked, words) else HighBits.OTHER)


def words_of(pixels: Pixels, shape: PixelFormat) -> NDArray[Any]:
    """The allocated words of stored values, with the high bits that they had."""
    size = max(shape.allocated // 8, 1)
    words: NDArray[Any] = pixels.samples.view(f"u{size}")
    if shape.signed and pixels.high_bits is HighBits.ZERO and shape.depth < 8 * size:
        words = words & words.dtype.type((1 << shape.depth) - 1)
    return words


def swapped_pairs(value: bytes) -> bytes:
    """Bytes swapped in pairs, as 8-bit samples stand in big-endian OW words. A zero is added to an odd last byte."""
    padded = value + b"\0" * (len(value) % 2)
    return np.frombuffer(padded, "u2").byteswap().tobytes()
