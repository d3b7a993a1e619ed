"""What all versions share: cells of an image, their permutations, messages, and the ladder of code lengths.

All arithmetic is in integers. The byte-exact rules are in CODEC.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.seal.codec import ldpc

CELL = 8
PIXELS = CELL * CELL
BITS = 16
"""Places for coded bits in a cell, one per pattern of the networks."""

EIGHTHS = (5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
"""Lengths that are sent, in eighths of the mother code: below 8 parity is punctured, above 8 bits are repeated."""

PLACES_MAX = 1 << 17
"""A payload never takes more places than this, so that a reader need not search further."""

PERMUTATION_KEY = 0x5EA16A7E00000001
"""It is public: the permutation spreads damage and keeps nothing secret."""

PAYLOAD_MAX = 1000
# Bytes of length and CRC-32.
_OVERHEAD = 6
_WHITENING = 0x5EA16A7E00000002


@dataclass(frozen=True, order=True)
class Rung:
    """A code length.

    length: number of places that are written.
    lift: of the mother code, see `ldpc`.
    eighths: length in eighths of the mother code.
    """

    length: int
    lift: int
    eighths: int


RUNGS = tuple(
    sorted(
        Rung(3 * lift * eighths, lift, eighths)
        for lift in ldpc.LIFTS
        for eighths in EIGHTHS
        if 3 * lift * eighths <= PLACES_MAX
    )
)


def rungs_for(payload_bytes: int) -> list[Rung]:
    """The rungs that carry a payload of this size in the smallest code, shortest first."""
    needed = 8 * (payload_bytes + _OVERHEAD)
    lift = next(lift for lift in ldpc.LIFTS if ldpc.message_bits(lift) >= needed)
    return [rung for rung in RUNGS if rung.lift == lift]


def frame(payload: bytes, lift: int) -> NDArray[np.uint8]:
    """The message bits: length (2 bytes, big endian), payload, CRC-32 of both, and zeros to the end, all whitened."""
    framed = len(payload).to_bytes(2, "big") + payload
    framed += zlib.crc32(framed).to_bytes(4, "big")
    bits = np.zeros(ldpc.message_bits(lift), np.uint8)
    bits[: 8 * len(framed)] = np.unpackbits(np.frombuffer(framed, np.uint8))
    return bits ^ _whitening(len(bits))


def unframe(message: NDArray[np.uint8]) -> bytes | None:
    """The payload of message bits; None when the length, the CRC-32 or the zeros behind them are wrong."""
    framed = np.packbits(message ^ _whitening(len(message))).tobytes()
    length = int.from_bytes(framed[:2], "big")
    end = 2 + length
    if length > PAYLOAD_MAX or end + 4 > len(framed):
        return None
    if zlib.crc32(framed[:end]).to_bytes(4, "big") != framed[end : end + 4] or any(framed[end + 4 :]):
        return None
    return framed[2:end]


def permuted(indices: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """The images of `indices` under a keyed permutation of 0 .. size - 1.

    It is a four-round Feistel network on an even number of bits, repeated until the value is below `size` (Black and
    Rogaway, "Ciphers with arbitrary finite domains", 2002). The round function is SplitMix64 (Steele et al., 2014).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    values = indices.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        left, right = values[walking] >> shift, values[walking] & mask
        for turn in range(4):
            left, right = right, left ^ (splitmix(right + np.uint64(key + (turn << 56))) & mask)
        values[walking] = left << shift | right
        walking = walking[values[walking] >= size]
    return values.astype(np.int64)


def splitmix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 of each value."""
    mixed = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


@lru_cache(maxsize=len(ldpc.LIFTS))
def _whitening(count: int) -> NDArray[np.uint8]:
    """Bits that keep both bit values equally frequent, also in the zeros behind a short payload."""
    words = splitmix(np.arange(-(-count // 64), dtype=np.uint64) + np.uint64(_WHITENING))
    return np.unpackbits(words.astype(">u8").view(np.uint8))[:count]


def to_cells(planes: NDArray[Any]) -> NDArray[Any]:
    """(frames, rows, columns) -> (cells, 64). Rows and columns beyond the last whole cell are left out."""
    frames, rows, columns = planes.shape
    down, across = rows // CELL, columns // CELL
    whole = planes[:, : down * CELL, : across * CELL].reshape(frames, down, CELL, across, CELL)
    return whole.swapaxes(2, 3).reshape(-1, PIXELS)


def from_cells(cells: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """The inverse of `to_cells`, with zeros beyond the last whole cell."""
    frames, rows, columns = shape
    down, across = rows // CELL, columns // CELL
    planes = np.zeros(shape, cells.dtype)
    whole = cells.reshape(frames, down, across, CELL, CELL).swapaxes(2, 3)
    planes[:, : down * CELL, : across * CELL] = whole.reshape(frames, down * CELL, across * CELL)
    return planes


def frame_counts(frames: int) -> Iterable[int]:
    """How many leading frames may carry a payload: 1, 2, 4 ... and all."""
    count = 1
    while count < frames:
        yield count
        count *= 2
    yield frames
