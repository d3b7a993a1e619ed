"""The protocol of a method, and the parts that the baselines share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from export.evaluation.measures import psnr
from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import (
    Rung,
    frame,
    rungs_for,
    to_cells,
    unframe,
)
from gateway.seal.codec.order import gather, spread

Image = NDArray[np.uint8]
Reader = Callable[[Image], bytes | None]
_CLEARANCE = 8.0  # grey levels
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Embedded:
    """A container, and its reader.

    container: (rows, columns, samples), 8 bits.
    read: takes the image that arrives; returns the payload that a reader finds in it, or None. The reader of a baseline
        is told everything but the payload.
    """

    container: Image
    read: Reader


class Method(Protocol):
    """A way to hide a payload."""

    @property
    def name(self) -> str: ...

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Embedded | None:
        """Hide a payload.

        cover: (rows, columns, samples), 8 bits.
        target_db: PSNR to reach, peak 255, where the method has a strength.

        Returns None when the image can't hold the payload.
        """


def luma(image: Image) -> NDArray[np.float64]:
    """The luma of a colour image, or the only sample, (rows, columns)."""
    return image[..., 0].astype(np.float64) if image.shape[2] == 1 else image @ LUMA


def changed(cover: Image, change: NDArray[Any]) -> Image:
    """Add a change, (rows, columns), to every sample, rounded and clipped."""
    image: Image = np.clip(cover + np.rint(change)[..., None], 0, 255).astype(np.uint8)
    return image


def usable(cover: Image) -> NDArray[np.int64]:
    """The cells that stay clear of black and white. The reader of a baseline is told which they are."""
    means = to_cells(luma(cover)[None]).mean(axis=1)
    return np.flatnonzero((means >= _CLEARANCE) & (means <= 255 - _CLEARANCE))


def at_distortion(cover: Image, target_db: float, make: Callable[[float], Image], start: float) -> float:
    """Search the strength at which a method reaches a PSNR, in at most eight steps.

    target_db: the PSNR, peak 255.
    make: returns the container of a strength.
    start: the first strength.
    """
    strength = start
    for _turn in range(8):
        reached = psnr(cover, make(strength), 255)
        if abs(reached - target_db) < 0.05 or not np.isfinite(reached):
            break
        strength *= 10 ** ((reached - target_db) / 20)
    return strength


def framed(payload: bytes) -> tuple[NDArray[np.uint8], int]:
    """The message bits of a payload, as our codec frames it (length, CRC-32), and their lift."""
    lift = rungs_for(len(payload))[0].lift
    return frame(payload, lift), lift


def rung_for(payload: bytes, places: int) -> Rung | None:
    """The mother code of rate 1/2 where it fits, or else the longest code that fits."""
    fitting = [rung for rung in rungs_for(len(payload)) if rung.length <= places and rung.eighths <= 8]
    return fitting[-1] if fitting else None


def coded(payload: bytes, rung: Rung) -> NDArray[np.uint8]:
    """The code bits of a payload, one for each place of the rung."""
    return spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)


def decoded(llr: NDArray[np.float64], rung: Rung) -> bytes | None:
    """Decode a payload, or return None.

    llr: soft values of the places of the rung, positive for bit 0, in any scale.
    """
    scaled = (llr / max(float(np.abs(llr).mean()), 1e-9) * 4).astype(np.float32)
    message = ldpc.decode(gather(scaled, rung), rung.lift)
    return None if message is None else unframe(message)


def order(places: int) -> NDArray[np.int64]:
    """A fixed permutation of the places, which spreads damage."""
    return np.random.default_rng(places).permutation(places)
