"""A quasi-cyclic repeat-accumulate LDPC code: encode, and decode soft bits by normalised min-sum.

The mother code has rate 1/2. It is built from a 12 x 12 base matrix of cyclic shifts, lifted by `lift` (Z): 12 Z
message bits, 12 Z parity bits. Parity is one accumulator over all checks, so encoding is a running sum modulo 2.
Source of the construction: Jin, Khandekar, McEliece, "Irregular repeat-accumulate codes" (2000); decoding: Chen and
Fossorier, "Near optimum universal belief propagation based decoding" (2002). The byte-exact layout is in CODEC.md.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ROWS = 12
"""Checks and message columns of the base matrix."""

LIFTS = (*range(16, 128, 4), *range(128, 705, 16))
"""The lifts in use: 12 Z message bits are 192 .. 8448."""

# (check row, message column, shift). export/design_ldpc.py chose the shifts so that no lift above has a 4-cycle.
# fmt: off
SHIFTS: tuple[tuple[int, int, int], ...] = (
    (0, 1, 2053), (0, 2, 1104), (0, 4, 1311), (0, 10, 2590),
    (1, 1, 3623), (1, 2, 2551), (1, 6, 318), (1, 8, 3400),
    (2, 0, 1387), (2, 2, 3183), (2, 6, 3656), (2, 9, 120),
    (3, 0, 1633), (3, 3, 3178), (3, 6, 1291), (3, 11, 1749),
    (4, 1, 3863), (4, 3, 2885), (4, 4, 1575), (4, 9, 1069),
    (5, 0, 2937), (5, 3, 2541), (5, 7, 2556), (5, 10, 3420),
    (6, 1, 1432), (6, 2, 3947), (6, 7, 408), (6, 11, 117),
    (7, 0, 2131), (7, 3, 2942), (7, 7, 4051), (7, 9, 3291),
    (8, 0, 1326), (8, 2, 2925), (8, 4, 2739), (8, 8, 1540),
    (9, 1, 960), (9, 3, 12), (9, 5, 2123), (9, 8, 683),
    (10, 1, 108), (10, 3, 2358), (10, 5, 1827), (10, 10, 27),
    (11, 0, 2804), (11, 2, 3357), (11, 5, 1961), (11, 11, 19),
)
# fmt: on

# After so many iterations, this share of broken checks means that there is no codeword: with one it is below 0.2 then.
_PATIENCE = 8
_HOPELESS = 0.3
# Normalisation of min-sum: the usual value for check degree 6.
_SCALE = 0.8


def message_bits(lift: int) -> int:
    """Length of a message."""
    return ROWS * lift


def code_bits(lift: int) -> int:
    """Length of a codeword."""
    return 2 * ROWS * lift


def encode(message: NDArray[np.uint8], lift: int) -> NDArray[np.uint8]:
    """The codeword, (24 * lift,): the message, then the parity bits in the order in which they are sent.

    Parity bits are ordered by their place in the accumulator modulo 4: first 3, then 1, 2, 0. So a codeword that is cut
    short is punctured evenly.

    message: (12 * lift,), 0 or 1.
    """
    edges = _graph(lift).message_edges
    sums = np.bitwise_xor.reduce(message[edges], axis=0)
    parity = np.bitwise_xor.accumulate(sums)
    return np.concatenate([message, parity[_parity_order(ROWS * lift)]])


def decode(llr: NDArray[np.float32], lift: int, *, iterations: int = 50) -> NDArray[np.uint8] | None:
    """The message; None when no codeword was found.

    llr: (24 * lift,) log-likelihood ratios in the order of `encode`, positive for bit 0, 0 for unknown.
    """
    half = ROWS * lift
    graph = _graph(lift)
    channel = np.zeros(2 * half + 1, np.float32)
    channel[:half] = llr[:half]
    channel[half + _parity_order(half)] = llr[half:]
    # The missing neighbour of the first check.
    channel[-1] = np.inf
    messages = np.zeros(graph.edges.shape, np.float32)
    total = channel.copy()
    for turn in range(iterations):
        hard = (total < 0).astype(np.uint8)
        broken = int(np.bitwise_xor.reduce(hard[graph.edges], axis=0).sum())
        if broken == 0:
            return hard[:half]
        if turn >= _PATIENCE and broken > _HOPELESS * half:
            return None
        incoming = total[graph.edges] - messages
        incoming[-1, 0] = np.inf
        negative = incoming < 0
        odd = np.bitwise_xor.reduce(negative, axis=0)
        messages = _least_of_others(np.abs(incoming)) * np.where(negative ^ odd, -_SCALE, _SCALE).astype(
            np.float32
        )
        gathered = np.bincount(graph.edges.ravel(), messages.ravel(), minlength=2 * half + 1)
        total = channel + gathered.astype(np.float32)
    return None


def _least_of_others(magnitude: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each row the least value of all other rows, from running minima from the front and from the back."""
    least = np.empty_like(magnitude)
    least[0] = np.inf
    for row in range(1, len(magnitude)):
        np.minimum(least[row - 1], magnitude[row - 1], out=least[row])
    behind = magnitude[-1].copy()
    for row in range(len(magnitude) - 2, -1, -1):
        np.minimum(least[row], behind, out=least[row])
        np.minimum(behind, magnitude[row], out=behind)
    return least


class _Graph:
    """The neighbours of every check.

    message_edges: (4, 12 Z) message bits.
    edges: (6, 12 Z) message bits and parity bits, the latter counted from 12 Z on.
    """

    def __init__(self, lift: int) -> None:
        checks: list[list[NDArray[np.int64]]] = [[] for _ in range(ROWS)]
        place = np.arange(lift)
        for row, column, shift in SHIFTS:
            checks[row].append(column * lift + (place + shift) % lift)
        # (Z, 12, 4)
        blocks = np.stack([np.stack(neighbours, axis=1) for neighbours in checks], axis=1)
        self.message_edges = np.ascontiguousarray(blocks.reshape(ROWS * lift, -1).T)
        current = ROWS * lift + np.arange(ROWS * lift)
        previous = np.concatenate([[2 * ROWS * lift], current[:-1]])
        self.edges = np.concatenate([self.message_edges, current[None], previous[None]])


@lru_cache(maxsize=len(LIFTS))
def _graph(lift: int) -> _Graph:
    return _Graph(lift)


@lru_cache(maxsize=len(LIFTS))
def _parity_order(count: int) -> NDArray[np.int64]:
    place = np.arange(count)
    return np.concatenate([place[start::4] for start in (3, 1, 2, 0)])
