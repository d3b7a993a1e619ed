"""Methods of the package `invisible-watermark`: dwtDct, which takes any number of bits, and RivaGAN, which takes 32.

Both work on colour: they get a monochrome image as three equal samples, and return it coloured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from imwatermark import WatermarkDecoder, WatermarkEncoder

from export.evaluation.baselines.method import Embedded, Image, framed
from gateway.seal.codec.layout import unframe

_LEAST_PIXELS = 256 * 256  # the package refuses smaller images
_RIVAGAN_BITS = 32


def _bgr(image: Image) -> Image:
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return np.ascontiguousarray(colour[..., ::-1])


@dataclass(frozen=True)
class DwtDct:
    """Carries the whole payload; its strength is fixed."""

    name: str = "dwtDct"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:  # noqa: ARG002 - fixed strength
        bits, _ = framed(payload)
        if cover.shape[0] * cover.shape[1] < _LEAST_PIXELS:
            return None
        encoder = WatermarkEncoder()
        encoder.set_by_bits([int(bit) for bit in bits])
        container = np.ascontiguousarray(encoder.encode(_bgr(cover), "dwtDct")[..., ::-1])

        def read(arrived: Image) -> bytes | None:
            decoded = WatermarkDecoder("bits", len(bits)).decode(_bgr(arrived), "dwtDct")
            return unframe(np.asarray(decoded, dtype=np.uint8))

        return Embedded(container, read)


@dataclass(frozen=True)
class RivaGan:
    """Carries only the first 32 bits of the payload; its strength is fixed."""

    name: str = "RivaGAN (32 bits)"

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:  # noqa: ARG002 - fixed strength
        if cover.shape[0] * cover.shape[1] < _LEAST_PIXELS:
            return None
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))[:_RIVAGAN_BITS]
        WatermarkEncoder.loadModel()
        encoder = WatermarkEncoder()
        encoder.set_by_bits([int(bit) for bit in bits])
        container = np.ascontiguousarray(encoder.encode(_bgr(cover), "rivaGan")[..., ::-1])

        def read(arrived: Image) -> bytes | None:
            decoded = WatermarkDecoder("bits", _RIVAGAN_BITS).decode(_bgr(arrived), "rivaGan")
            return payload if np.array_equal(np.asarray(decoded, dtype=np.uint8), bits) else None

        return Embedded(container, read)
