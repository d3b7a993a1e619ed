"""The change made to the pixels, cover minus container, entropy-coded exactly and in integers only.

Most of the change is zero and the rest is small, and it keeps to the 8x8 cells the codec uses. So a value is
told by flags - is the cell touched, is the pixel, is it more than 1, more than 2 ... - and each run of flags
is written as the gaps between its rarer kind in a Golomb-Rice code (FORMAT.md, "Residual"). All of it is
vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 8
_RICE_MAX = 24
Flags = NDArray[np.bool_]


class ResidualDamaged(ValueError):  # named for what is wrong
    """The bytes are not a residual of the expected shape."""


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()

    def number(self, value: int) -> None:
        """LEB128, 7 bits a byte, low first."""
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)

    def bits(self, bits: NDArray[Any]) -> None:
        self.out += np.packbits(bits).tobytes()

    def flags(self, flags: Flags) -> None:
        """The rarer kind by its gaps: kind and count, Rice parameter, unary length, unary bits,
        remainders.
        """
        ones = int(np.count_nonzero(flags))
        inverted = 2 * ones > flags.size
        places = np.flatnonzero(~flags if inverted else flags)
        self.number(places.size << 1 | inverted)
        if not places.size:
            return
        gaps = np.diff(places, prepend=-1) - 1
        rice = min(range(_RICE_MAX), key=lambda k: int((gaps >> k).sum()) + places.size * k)
        quotients = gaps >> rice
        ends = np.cumsum(quotients + 1) - 1
        unary = np.zeros(int(ends[-1]) + 1, np.uint8)
        unary[ends] = 1
        self.number(rice)
        self.number(unary.size)
        self.bits(unary)
        self.bits(_to_bits(gaps & ((1 << rice) - 1), rice))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self._data) or shift > 63:
                raise ResidualDamaged("the residual ends early")
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def bits(self, count: int) -> NDArray[np.uint8]:
        size = -(-count // 8)
        if self.at + size > len(self._data):
            raise ResidualDamaged("the residual ends early")
        found = np.unpackbits(np.frombuffer(self._data, np.uint8, size, self.at), count=count)
        self.at += size
        return found

    def flags(self, length: int) -> Flags:
        head = self.number()
        count, inverted = head >> 1, bool(head & 1)
        flags = np.full(length, inverted)
        if not count:
            return flags
        rice, unary_length = self.number(), self.number()
        ends = np.flatnonzero(self.bits(unary_length))
        if count > length or rice >= _RICE_MAX or ends.size != count:
            raise ResidualDamaged("the flags of the residual contradict themselves")
        quotients = np.diff(ends, prepend=-1) - 1
        places = np.cumsum((quotients << rice) + _from_bits(self.bits(count * rice), rice, count) + 1) - 1
        if places[-1] >= length:
            raise ResidualDamaged("the flags of the residual run past its end")
        flags[places] = not inverted
        return flags

    def end(self) -> None:
        if self.at != len(self._data):
            raise ResidualDamaged("bytes follow the residual")


def encode(residual: NDArray[Any]) -> bytes:
    """The residual, integers of shape (frames, rows, columns, samples)."""
    out = _Writer()
    cells = _cells(residual)
    touched: Flags = np.any(cells, axis=1).astype(bool)
    out.flags(touched)
    values = cells[touched].reshape(-1)
    changed: Flags = values != 0
    out.flags(changed)
    values = values[changed]
    excess = np.abs(values.astype(np.int64)) - 1
    shift = max(int(np.log2(excess.mean() + 1)) - 1, 0) if excess.size else 0
    out.number(shift)
    out.bits((values < 0).astype(np.uint8))
    out.bits(_to_bits(excess & ((1 << shift) - 1), shift))
    steps = excess >> shift
    highest = int(steps.max(initial=0))
    out.number(highest)
    for level in range(1, highest + 1):
        more: Flags = steps >= level
        out.flags(more)
        steps = steps[more]
    return bytes(out.out)


def decode(data: bytes, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The residual of `shape`. Raises ResidualDamaged."""
    bits = _Reader(data)
    frames, rows, columns, samples = shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    touched = bits.flags(frames * down * across * samples)
    changed = bits.flags(int(np.count_nonzero(touched)) * CELL * CELL)
    count = int(np.count_nonzero(changed))
    shift = bits.number()
    if shift > 16:
        raise ResidualDamaged("the residual is larger than any sample")
    negative = bits.bits(count).astype(bool)
    low = _from_bits(bits.bits(count * shift), shift, count)
    steps = np.zeros(count, np.int64)
    alive = np.arange(count)
    for _ in range(bits.number()):
        if not alive.size:
            raise ResidualDamaged("the residual has more levels than values")
        alive = alive[bits.flags(alive.size)]
        steps[alive] += 1
    bits.end()
    sizes = (steps << shift) + low + 1
    values = np.zeros(changed.size, np.int32)
    values[changed] = np.where(negative, -sizes, sizes)
    cells = np.zeros((touched.size, CELL * CELL), np.int32)
    cells[touched] = values.reshape(-1, CELL * CELL)
    grid = cells.reshape(frames, samples, down, across, CELL, CELL).transpose(0, 2, 4, 3, 5, 1)
    return grid.reshape(frames, down * CELL, across * CELL, samples)[:, :rows, :columns]


def _cells(residual: NDArray[Any]) -> NDArray[Any]:
    """(cells, 64): cells of 8x8 pixels by frame, sample, row, column; edges padded with zeros."""
    frames, rows, columns, samples = residual.shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    if rows % CELL or columns % CELL:
        padding = ((0, 0), (0, down * CELL - rows), (0, across * CELL - columns), (0, 0))
        residual = np.pad(residual, padding)
    grid = residual.reshape(frames, down, CELL, across, CELL, samples).transpose(0, 5, 1, 3, 2, 4)
    return grid.reshape(-1, CELL * CELL)


def _to_bits(values: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """`width` bits of each value, most significant first."""
    shifts = np.arange(width - 1, -1, -1)
    return (values[:, np.newaxis] >> shifts & 1).astype(np.uint8).reshape(-1)


def _from_bits(bits: NDArray[np.uint8], width: int, count: int) -> NDArray[np.int64]:
    weights = 1 << np.arange(width - 1, -1, -1)
    return bits.reshape(count, width).astype(np.int64) @ weights
