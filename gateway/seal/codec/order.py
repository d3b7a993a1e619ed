"""Order of the places of version 2: which pattern of which cell carries what (CODEC.md, "Order of places")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import (
    BITS,
    PERMUTATION_KEY,
    Rung,
    permuted,
)

GROUP = 4
"""Number of patterns of a cell that are filled together. So few cells are touched, and each carries several bits."""

HEADER = 256
"""Number of places of the header as it is tried first."""

WIDEST = 1024
"""Number of places of the header where most cells can't be used."""

# An image with so many cells has room for the widest header.
_WIDE_CELLS = 1024


def header_widths(cells: int) -> tuple[int, ...]:
    """Numbers of places that the header may take in an image of so many cells. The last one is set aside for it."""
    return (HEADER, WIDEST) if cells >= _WIDE_CELLS else (HEADER,)


def cells(start: int, stop: int, count: int) -> NDArray[np.int64]:
    """The numbers of the cells that are filled as number `start` .. `stop` - 1 in an image of `count` cells."""
    return permuted(np.arange(start, stop), count, PERMUTATION_KEY)


def places(start: int, stop: int, count: int) -> NDArray[np.int64]:
    """Places number `start` .. `stop` - 1 of an image of `count` cells, each as cell * 16 + pattern."""
    group, within = np.divmod(np.arange(start, stop), GROUP * count)
    turn = within // GROUP
    first, last = int(turn.min(initial=count)), int(turn.max(initial=-1)) + 1
    numbers: NDArray[np.int64] = (
        cells(first, last, count)[turn - first] * BITS + GROUP * group + within % GROUP
    )
    return numbers


class UsablePlaces:
    """How many of the leading places lie in usable cells."""

    def __init__(self, usable: NDArray[np.bool_]) -> None:
        """usable: whether each cell is, in the order in which they are filled."""
        self._turns = len(usable)
        self._running = np.concatenate([[0], np.cumsum(usable)])

    def until(self, stop: int) -> int:
        """How many of the places 0 .. `stop` - 1 are usable, rounded to whole cells."""
        rounds, within = divmod(stop, GROUP * self._turns)
        return GROUP * int(rounds * self._running[-1] + self._running[within // GROUP])


def spread(codeword: NDArray[np.uint8], rung: Rung) -> NDArray[np.uint8]:
    """The bit of every place of the body: the codeword is cut short, interleaved, and repeated from its start."""
    sent = min(rung.length, len(codeword))
    return np.resize(codeword[:sent][_interleaved(sent)], rung.length)


def gather(llr: NDArray[np.float32], rung: Rung) -> NDArray[np.float32]:
    """Log-likelihood ratios of the codeword from those of the body. Repeats add up, bits that were not sent are 0.

    llr: (rung.length,) float32, positive for bit 0.
    """
    total = ldpc.code_bits(rung.lift)
    sent = min(rung.length, total)
    padded = np.zeros(-(-rung.length // sent) * sent, np.float32)
    padded[: rung.length] = llr
    codeword = np.zeros(total, np.float32)
    codeword[_interleaved(sent)] = padded.reshape(-1, sent).sum(axis=0, dtype=np.float32)
    return codeword


def _interleaved(count: int) -> NDArray[np.int64]:
    """Numbers 0 .. count - 1, written into GROUP rows and read by columns, so that a lost cell costs distant bits."""
    return np.arange(count).reshape(GROUP, -1).T.ravel()
