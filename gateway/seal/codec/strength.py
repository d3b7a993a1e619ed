"""Strengths: what a unit is, in stored values, for the writer and for a reader who does not know."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.card import Card
from gateway.seal.codec.layout import CELL, PERMUTATION_KEY, permuted
from gateway.seal.codec.plane import Plane

STEPS = 64
"""Steps of an octave: the unit number i stands for 2^(i / STEPS) stored values."""

_QUARTER = STEPS // 4  # writers use every quarter of an octave
_FIDELITY = tuple(range(0, 7 * STEPS, STEPS))  # 1, 2, 4 .. 64 stored values
_COARSE = tuple(range(-2 * STEPS, 9 * STEPS + 1, _QUARTER))  # 1/4 .. 512
_FINE = tuple(range(-2 * STEPS, 4 * STEPS + 1, 2))  # 1/4 .. 16, after an export of unknown scale
_SAMPLED = 512  # cells in which the noise is looked at
_NOISE_SHARE = 0.5  # of the image's own noise that a unit may be without showing
_RANGE_SHARE = 2040  # units in the range of an image of more than 8 bits whose window is known ...
_RANGE_SHARE_BLIND = 1020  # ... and is not


def unit_of(number: int) -> float:
    """Stored values of the unit number."""
    return math.exp2(number / STEPS)


def rising(card: Card, plane: Plane, frames: int, window: tuple[float, float] | None) -> list[int]:
    """Unit numbers to write with, from the weakest that suits the image upwards."""
    if not card.eight_bit:
        return list(_FIDELITY[:4])
    first = 0
    if plane.pixels.dtype.itemsize > 1:
        wanted = max(_noise(plane, frames) * _NOISE_SHARE, _shown(plane, window))
        first = round(math.log2(wanted) * STEPS / _QUARTER) * _QUARTER
        first = min(max(first, _COARSE[0]), _COARSE[-1])
    return [first, first + 2 * _QUARTER, first + 4 * _QUARTER]


def usual(card: Card) -> tuple[int, ...]:
    """Unit numbers that writers use, the likeliest first."""
    return tuple(sorted(_COARSE, key=abs)) if card.eight_bit else _FIDELITY


def unusual(card: Card) -> tuple[int, ...]:
    """Unit numbers that a mark may have after its image was scaled."""
    return _FINE if card.eight_bit else ()


def near(number: int) -> range:
    """Unit numbers up to 6 % from one, for marks whose image was scaled a little."""
    return range(number - 5, number + 6)


def _shown(plane: Plane, window: tuple[float, float] | None) -> float:
    """What a grey level of an 8-bit rendering is; a share of the range where the window is narrow or unknown."""
    low, high = plane.limits()
    if window is None:
        return max(high - low, 1.0) / _RANGE_SHARE_BLIND
    return max((window[1] - window[0]) / 255, (high - low) / _RANGE_SHARE, unit_of(_COARSE[0]))


def _noise(plane: Plane, frames: int) -> float:
    """Standard deviation of the image's noise, from the highest frequencies of some of its cells, in stored values.

    The median over cells of the median absolute coefficient (Donoho 1995), so that edges don't count.
    """
    count = plane.count(frames)
    cells = plane.cells(frames, permuted(np.arange(min(count, _SAMPLED)), count, PERMUTATION_KEY))
    cells = cells[np.any(cells != cells[:, :1], axis=1)]
    if not len(cells):
        return 0.0
    coefficients = np.abs(cells @ _highest_frequencies().T)
    return float(np.median(np.median(coefficients, axis=1))) / 0.6745


def _highest_frequencies() -> NDArray[np.float32]:
    """(9, 64) orthonormal DCT patterns of the three highest frequencies both ways."""
    place = np.arange(CELL)
    basis = np.stack([np.cos(np.pi * (2 * place + 1) * k / (2 * CELL)) for k in (5, 6, 7)]) / 2
    patterns: NDArray[np.float32] = np.einsum("ur,vc->uvrc", basis, basis).reshape(9, -1).astype(np.float32)
    return patterns
