"""Bits, numbers, flags and small values as the restoring data writes them: FORMAT.md, "Restoring element".

Flags are written as the gaps between the rarer kind, in a Golomb-Rice code. Values are written as flags. All of it is
vectorised, and a reader allocates no more memory than the bytes at hand and the expected lengths justify.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RICE_MAX = 24
_SHIFT_MAX = 16
Flags = NDArray[np.bool_]


class ResidualDamaged(ValueError):
    """The bytes are not restoring data of the expected shape."""


class CodedWriter:
    """Collects bytes in `out`. Every string of bits begins at a whole byte."""

    def __init__(self) -> None:
        self.out = bytearray()

    def number(self, value: int) -> None:
        """Append a number as LEB128: 7 bits in each byte, low ones first."""
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)

    def bits(self, bits: NDArray[Any]) -> None:
        """Append bits, padded with zeros to whole bytes."""
        self.out += np.packbits(bits).tobytes()

    def flags(self, flags: Flags) -> None:
        """Append flags: kind and count of the rarer kind, Rice parameter, unary length, unary bits, remainders."""
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

    def values(self, values: NDArray[Any], shift: int) -> None:
        """Append integers other than 0, (count,): the shift, signs, `shift` low bits of each, the rest as flags."""
        excess = np.abs(values.astype(np.int64)) - 1
        self.number(shift)
        self.bits((values < 0).astype(np.uint8))
        self.bits(_to_bits(excess & ((1 << shift) - 1), shift))
        steps = excess >> shift
        highest = int(steps.max(initial=0))
        self.number(highest)
        for level in range(1, highest + 1):
            more: Flags = steps >= level
            self.flags(more)
            steps = steps[more]


class CodedReader:
    """Reads what a `CodedWriter` wrote. Every method raises ResidualDamaged, and nothing else, for damaged bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def number(self) -> int:
        """The next number."""
        value = shift = 0
        while True:
            if self.at >= len(self._data) or shift > 63:
                raise ResidualDamaged("the restoring data ends early")
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def bits(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bits, (count,)."""
        size = -(-count // 8)
        if self.at + size > len(self._data):
            raise ResidualDamaged("the restoring data ends early")
        bits = np.unpackbits(np.frombuffer(self._data, np.uint8, size, self.at), count=count)
        self.at += size
        return bits

    def flags(self, length: int) -> Flags:
        """The next `length` flags, (length,)."""
        head = self.number()
        count, inverted = head >> 1, bool(head & 1)
        flags = np.full(length, inverted)
        if not count:
            return flags
        rice, unary_length = self.number(), self.number()
        ends = np.flatnonzero(self.bits(unary_length))
        if count > length or rice >= _RICE_MAX or ends.size != count:
            raise ResidualDamaged("the flags of the restoring data contradict themselves")
        quotients = np.diff(ends, prepend=-1) - 1
        places = np.cumsum((quotients << rice) + _from_bits(self.bits(count * rice), rice, count) + 1) - 1
        if places[-1] >= length:
            raise ResidualDamaged("the flags of the restoring data run past its end")
        flags[places] = not inverted
        return flags

    def values(self, count: int, largest: int) -> NDArray[np.int64]:
        """The next `count` integers other than 0, none of a larger size than `largest`."""
        shift = self.number()
        if shift > _SHIFT_MAX:
            raise ResidualDamaged("a value of the restoring data is larger than any sample")
        negative = self.bits(count).astype(bool)
        low = _from_bits(self.bits(count * shift), shift, count)
        steps = np.zeros(count, np.int64)
        alive = np.arange(count)
        levels = self.number()
        if levels << shift > largest:
            raise ResidualDamaged("a value of the restoring data is larger than allowed")
        for _ in range(levels):
            if not alive.size:
                raise ResidualDamaged("the restoring data has more levels than values")
            alive = alive[self.flags(alive.size)]
            steps[alive] += 1
        sizes = (steps << shift) + low + 1
        if count and int(sizes.max()) > largest:
            raise ResidualDamaged("a value of the restoring data is larger than allowed")
        return np.where(negative, -sizes, sizes)

    def end(self) -> None:
        """Check that no bytes are left."""
        if self.at != len(self._data):
            raise ResidualDamaged("bytes follow the restoring data")


def _to_bits(values: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """`width` bits of each value, most significant first."""
    shifts = np.arange(width - 1, -1, -1)
    return (values[:, np.newaxis] >> shifts & 1).astype(np.uint8).reshape(-1)


def _from_bits(bits: NDArray[np.uint8], width: int, count: int) -> NDArray[np.int64]:
    weights = 1 << np.arange(width - 1, -1, -1)
    return bits.reshape(count, width).astype(np.int64) @ weights
