"""The header: it tells which rung was written, in a code that a fast Hadamard transform decodes from soft bits.

The code is biorthogonal (Reed-Muller of first order, MacWilliams and Sloane 1977, chapter 14): 256 places tell one of
3 x 512 words. It can be read at error rates far beyond those that the code of the payload bears. How far the best word
stands out tells whether anything was written at all.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import EIGHTHS, Rung, splitmix
from gateway.seal.codec.order import HEADER, WIDEST

_MASKS = 3
_MASK_SEED = 0x5EA16A7E00030000
# Soft bits are limited to this size: one wrong certainty must not outweigh many doubts.
_CERTAIN = 6.0


def word(rung: Rung, width: int) -> NDArray[np.uint8]:
    """The bits of the header, (width,): its word, repeated."""
    number = ldpc.LIFTS.index(rung.lift) * len(EIGHTHS) + EIGHTHS.index(rung.eighths)
    mask, word_number = divmod(number, 2 * HEADER)
    sign, row = divmod(word_number, HEADER)
    place = np.arange(HEADER)
    parity = np.zeros(HEADER, np.uint8)
    for bit in range(8):
        parity ^= ((place & row) >> bit & 1).astype(np.uint8)
    return np.resize(parity ^ np.uint8(sign), width) ^ _masks()[mask, :width]


def strongest(llr: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[Rung | None]]:
    """By how many standard deviations the likeliest word of each reading stands out, and its rung.

    The rung is None where the likeliest word stands for none. A word that stands out by less than 5 is likely to be
    chance.

    llr: (readings, width) log-likelihood ratios, positive for bit 0, 0 for unknown.
    """
    soft = np.clip(llr, -_CERTAIN, _CERTAIN)
    deviation = np.sqrt(np.square(soft).sum(axis=1)) + 1e-6
    signs = 1 - 2 * _masks()[:, : llr.shape[1]].astype(np.float32)
    folded = (soft[:, None, :] * signs).reshape(len(soft), _MASKS, -1, HEADER).sum(axis=2)
    correlations = _hadamard(folded.reshape(-1, HEADER)).reshape(len(soft), -1)
    best = np.abs(correlations).argmax(axis=1)
    value = correlations[np.arange(len(correlations)), best]
    mask, row = np.divmod(best, HEADER)
    numbers = mask * 2 * HEADER + (value < 0) * HEADER + row
    return np.abs(value) / deviation, [_rung(int(number)) for number in numbers]


def _rung(number: int) -> Rung | None:
    lift, eighths = divmod(number, len(EIGHTHS))
    if lift >= len(ldpc.LIFTS):
        return None
    return Rung(3 * ldpc.LIFTS[lift] * EIGHTHS[eighths], ldpc.LIFTS[lift], EIGHTHS[eighths])


def _hadamard(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Walsh-Hadamard transform of each row, (N, 256), in natural order."""
    span = 1
    while span < rows.shape[1]:
        pairs = rows.reshape(len(rows), -1, 2, span)
        rows = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        rows = rows.reshape(len(rows), -1)
        span *= 2
    return rows


@lru_cache(maxsize=1)
def _masks() -> NDArray[np.uint8]:
    """Bits, (3, 1024). They tell the three sets of words apart, and the repeats of a word from a bias of the image."""
    words = splitmix(np.arange(_MASKS * WIDEST // 64, dtype=np.uint64) + np.uint64(_MASK_SEED))
    return np.unpackbits(words.astype(">u8").view(np.uint8)).reshape(_MASKS, WIDEST)
