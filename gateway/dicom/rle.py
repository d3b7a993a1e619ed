"""RLE frames (PS3.5 annex G): a segment for each byte of each sample, most significant byte first."""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from gateway.dicom.image import PixelFormat


def decode(codestream: bytes, shape: PixelFormat) -> NDArray[Any]:
    """The allocated words of one frame, (rows, columns, samples).

    Raises ValueError or struct.error when the codestream is damaged or of another layout.
    """
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


def encode(words: NDArray[Any], shape: PixelFormat) -> bytes:
    """One frame of allocated words, (rows, columns, samples), as a codestream.

    Raises ValueError when the object has 1-bit samples.
    """
    if shape.allocated == 1:
        raise ValueError("1-bit samples are not written in RLE here")
    size = shape.allocated // 8
    unsigned = np.ascontiguousarray(words).view(f"u{size}").astype(f"<u{size}", copy=False)
    planes = unsigned.view(np.uint8).reshape(shape.rows, shape.columns, shape.samples, size)
    segments: list[bytes] = []
    for sample in range(shape.samples):
        for byte in reversed(range(size)):
            plane = np.ascontiguousarray(planes[:, :, sample, byte])
            # Each row is encoded on its own (G.3.1).
            run = b"".join(bytes(imagecodecs.packbits_encode(row)) for row in plane)
            segments.append(run + b"\0" * (len(run) % 2))
    offsets = [64 + sum(map(len, segments[:position])) for position in range(len(segments))]
    head = struct.pack("<16I", len(segments), *offsets, *([0] * (15 - len(segments))))
    return head + b"".join(segments)
