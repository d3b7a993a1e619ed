"""Strengths: how many stored values a unit is, for the writer, and for a reader that does not know it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec.card import Card
from gateway.seal.codec.layout import CELL, PERMUTATION_KEY, permuted
from gateway.seal.codec.plane import Plane

STEPS = 64
"""Steps in an octave: the unit number i stands for 2^(i / STEPS) stored values."""

# Writers use every quarter of an octave.
_QUARTER = STEPS // 4
# 1, 2, 4 .. 64 stored values.
_FIDELITY = tuple(range(0, 7 * STEPS, STEPS))
# 1/4 .. 512 stored values.
_COARSE = tuple(range(-2 * STEPS, 9 * STEPS + 1, _QUARTER))
# 1/4 .. 16 stored values, after an export of unknown scale.
_FINE = tuple(range(-2 * STEPS, 4 * STEPS + 1, 2))
# Number of cells in which the noise is measured.
_SAMPLED = 512
# A unit of this share of the image's own noise does not show.
_NOISE_SHARE = 0.5
# Units in the range of an image of more than 8 bits, whose window is known and not known.
_RANGE_SHARE = 2040
_RANGE_SHARE_BLIND = 1020


def unit_of(number: int) -> float:
    """The stored values of a unit number."""
    return math.exp2(number / STEPS)


def rising(card: Card, plane: Plane, frames: int, window: tuple[float, float] | None) -> list[int]:
    """Unit numbers to write with, from the weakest that suits the image upwards."""
    if not card.eight_bit:
        return list(_FIDELITY[:4])
    first = 0
    if plane.pixels.dtype.itemsize > 1:
        unit = max(_noise(plane, frames) * _NOISE_SHARE, _grey_level(plane, window))
        first = round(math.log2(unit) * STEPS / _QUARTER) * _QUARTER
        first = min(max(first, _COARSE[0]), _COARSE[-1])
    return [first, first + 2 * _QUARTER, first + 4 * _QUARTER]


def usual(card: Card) -> tuple[int, ...]:
    """Unit numbers that writers use, the likeliest first."""
    return tuple(sorted(_COARSE, key=abs)) if card.eight_bit else _FIDELITY


def unusual(card: Card) -> tuple[int, ...]:
    """Unit numbers that a payload may have after its image was scaled."""
    return _FINE if card.eight_bit else ()


def near(number: int) -> range:
    """Unit numbers up to 6 % from this one, for images that were scaled a little."""
    return range(number - 5, number + 6)


def _grey_level(plane: Plane, window: tuple[float, float] | None) -> float:
    """A grey level of an 8-bit rendering, in stored values.

    Where the window is narrow or not known, it is a share of the range of the image.
    """
    low, high = plane.limits()
    if window is None:
        return max(high - low, 1.0) / _RANGE_SHARE_BLIND
    return max((window[1] - window[0]) / 255, (high - low) / _RANGE_SHARE, unit_of(_COARSE[0]))


def _noise(plane: Plane, frames: int) -> float:
    """Standard deviation of the image's noise in stored values, from the highest frequencies of some of its cells.

    It is the median over cells of the median absolute coefficient (Donoho 1995), so that edges do not count.
    """
    count = plane.count(frames)
    cells = plane.cells(frames, permuted(np.arange(min(count, _SAMPLED)), count, PERMUTATION_KEY))
    cells = cells[np.any(cells != cells[:, :1], axis=1)]
    if not len(cells):
        return 0.0
    coefficients = np.abs(cells @ _highest_frequencies().T)
    return float(np.median(np.median(coefficients, axis=1))) / 0.6745


def _highest_frequencies() -> NDArray[np.float32]:
    """Orthonormal DCT patterns, (9, 64), of the three highest frequencies in both directions."""
    place = np.arange(CELL)
    basis = np.stack([np.cos(np.pi * (2 * place + 1) * k / (2 * CELL)) for k in (5, 6, 7)]) / 2
    patterns: NDArray[np.float32] = np.einsum("ur,vc->uvrc", basis, basis).reshape(9, -1).astype(np.float32)
    return patterns
