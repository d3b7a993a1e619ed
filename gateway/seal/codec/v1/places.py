"""Order of the places of version 1: groups of patterns one after the other, each permuted place by place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import (
    BITS,
    PERMUTATION_KEY,
    PLACES_MAX,
    Rung,
    permuted,
)

REFERENCE_MAX = 1 << 13
"""Largest number of unwritten places that a reader compares with."""


@dataclass(frozen=True)
class Places:
    """Places of an image, as cell * 16 + pattern.

    written: in the order in which they are filled.
    reference: never filled, so that they show how the image looks where nothing is written.
    """

    written: NDArray[np.int64]
    reference: NDArray[np.int64]


@lru_cache(maxsize=16)
def places(cells: int, groups: tuple[tuple[int, ...], ...]) -> Places:
    """The places of an image of `cells` cells.

    Groups of patterns are filled one after the other. Inside a group the order is a permutation keyed by the format.
    The last eighth of each group stays unwritten. That of the first group serves as reference.
    """
    written: list[NDArray[np.int64]] = []
    reference = np.empty(0, np.int64)
    missing = PLACES_MAX
    for index, group in enumerate(groups):
        size = cells * len(group)
        fillable = size - size // 8
        ordered = _of_group(0, min(missing, fillable), size, index, group)
        if index == 0:
            reference = _of_group(fillable, min(size, fillable + REFERENCE_MAX), size, index, group)
        written.append(ordered)
        missing -= len(ordered)
    return Places(np.concatenate(written), reference)


def _of_group(start: int, stop: int, size: int, index: int, group: tuple[int, ...]) -> NDArray[np.int64]:
    drawn = permuted(np.arange(start, stop), size, PERMUTATION_KEY + (index << 32))
    return drawn // len(group) * BITS + np.array(group, np.int64)[drawn % len(group)]


def gather(llr: NDArray[np.float32], rung: Rung) -> NDArray[np.float32]:
    """Log-likelihood ratios of the codeword from those of the places. Repeats add up, bits that were not sent are 0."""
    total = ldpc.code_bits(rung.lift)
    padded = np.zeros(-(-rung.length // total) * total, np.float32)
    padded[: rung.length] = llr[: rung.length]
    combined: NDArray[np.float32] = padded.reshape(-1, total).sum(axis=0, dtype=np.float32)
    return combined
