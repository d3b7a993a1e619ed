"""What a baseline is, and the parts they share."""

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
class Marked:
    """container: like the cover. read: what a reader told everything finds in what arrives."""

    container: Image
    read: Reader


class Method(Protocol):
    @property
    def name(self) -> str: ...

    def embed(self, cover: Image, payload: bytes, target_db: float) -> Marked | None:
        """cover: (rows, columns, samples), 8 bit. None where the image can't hold the payload."""


def luma(image: Image) -> NDArray[np.float64]:
    """(rows, columns); of one sample that sample."""
    return image[..., 0].astype(np.float64) if image.shape[2] == 1 else image @ LUMA


def changed(cover: Image, change: NDArray[Any]) -> Image:
    """`change`, (rows, columns), rounded and added to every sample."""
    image: Image = np.clip(cover + np.rint(change)[..., None], 0, 255).astype(np.uint8)
    return image


def usable(cover: Image) -> NDArray[np.int64]:
    """Cells that neither black nor white will clip; the reader of a baseline is told which they are."""
    means = to_cells(luma(cover)[None]).mean(axis=1)
    return np.flatnonzero((means >= _CLEARANCE) & (means <= 255 - _CLEARANCE))


def at_distortion(cover: Image, target_db: float, make: Callable[[float], Image], start: float) -> float:
    """The strength at which `make` costs `target_db`, as nearly as eight steps come."""
    strength = start
    for _turn in range(8):
        reached = psnr(cover, make(strength), 255)
        if abs(reached - target_db) < 0.05 or not np.isfinite(reached):
            break
        strength *= 10 ** ((reached - target_db) / 20)
    return strength


def framed(payload: bytes) -> tuple[NDArray[np.uint8], int]:
    """Message bits as our codec frames them (length, CRC-32), and their lift."""
    lift = rungs_for(len(payload))[0].lift
    return frame(payload, lift), lift


def rung_for(payload: bytes, places: int) -> Rung | None:
    """The mother code of rate 1/2 where it fits, else the longest that does."""
    fitting = [r for r in rungs_for(len(payload)) if r.length <= places and r.eighths <= 8]
    return fitting[-1] if fitting else None


def coded(payload: bytes, rung: Rung) -> NDArray[np.uint8]:
    return spread(ldpc.encode(frame(payload, rung.lift), rung.lift), rung)


def decoded(llr: NDArray[np.float64], rung: Rung) -> bytes | None:
    """llr: of the places of the rung, positive for bit 0."""
    scaled = (llr / max(float(np.abs(llr).mean()), 1e-9) * 4).astype(np.float32)
    message = ldpc.decode(gather(scaled, rung), rung.lift)
    return None if message is None else unframe(message)


def order(places: int) -> NDArray[np.int64]:
    """A fixed shuffle that spreads damage."""
    return np.random.default_rng(places).permutation(places)
