"""Methods of the package `invisible-watermark`: dwtDct, which takes any number of bits, and RivaGAN, which takes 32.

Both work on colour: a monochrome image goes in as three equal samples, and comes out coloured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from imwatermark import WatermarkDecoder, WatermarkEncoder

from export.evaluation.baselines.method import Image, Marked, framed
from gateway.seal.codec.layout import unframe

_LEAST_PIXELS = 256 * 256  # the package refuses smaller ones
_RIVAGAN_BITS = 32


def _bgr(image: Image) -> Image:
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return np.ascontiguousarray(colour[..., ::-1])


@dataclass(frozen=True)
class DwtDct:
    name: str = "dwtDct"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Marked | None:  # noqa: ARG002 - fixed strength
        bits, _ = framed(payload)
        if cover.shape[0] * cover.shape[1] < _LEAST_PIXELS:
            return None
        encoder = WatermarkEncoder()
        encoder.set_by_bits([int(bit) for bit in bits])
        container = np.ascontiguousarray(encoder.encode(_bgr(cover), "dwtDct")[..., ::-1])

        def read(arrived: Image) -> bytes | None:
            found = WatermarkDecoder("bits", len(bits)).decode(_bgr(arrived), "dwtDct")
            return unframe(np.asarray(found, dtype=np.uint8))

        return Marked(container, read)


@dataclass(frozen=True)
class RivaGan:
    """Carries the first 32 bits of the payload: all it can."""

    name: str = "RivaGAN (32 bits)"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Marked | None:  # noqa: ARG002 - fixed strength
        if cover.shape[0] * cover.shape[1] < _LEAST_PIXELS:
            return None
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))[:_RIVAGAN_BITS]
        WatermarkEncoder.loadModel()
        encoder = WatermarkEncoder()
        encoder.set_by_bits([int(bit) for bit in bits])
        container = np.ascontiguousarray(encoder.encode(_bgr(cover), "rivaGan")[..., ::-1])

        def read(arrived: Image) -> bytes | None:
            found = WatermarkDecoder("bits", _RIVAGAN_BITS).decode(_bgr(arrived), "rivaGan")
            return payload if np.array_equal(np.asarray(found, dtype=np.uint8), bits) else None

        return Marked(container, read)
