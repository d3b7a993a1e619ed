"""Bits in, bits out: most significant bit first, the last byte padded with zeros."""

from __future__ import annotations


class BitWriter:
    """Collects bits."""

    def __init__(self) -> None:
        self._value = 0
        self._length = 0

    def put(self, value: int, width: int) -> None:
        """Append `value` in `width` bits.

        Raises ValueError when the value does not fit.
        """
        if value < 0 or value >> width:
            raise ValueError(f"{value} does not fit into {width} bits")
        self._value = self._value << width | value
        self._length += width

    def put_bytes(self, value: bytes) -> None:
        self.put(int.from_bytes(value, "big"), 8 * len(value))

    def to_bytes(self) -> bytes:
        """All bits, padded with zeros to whole bytes."""
        size = -(-self._length // 8)
        return (self._value << (8 * size - self._length)).to_bytes(size, "big")


class BitReader:
    """Gives bits back in the order in which they were written."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def get(self, width: int) -> int:
        """The next `width` bits.

        Raises ValueError when fewer are left.
        """
        if width > self._left:
            raise ValueError("the bits end early")
        self._left -= width
        return self._value >> self._left & ((1 << width) - 1)

    def get_bytes(self, count: int) -> bytes:
        return self.get(8 * count).to_bytes(count, "big")

    @property
    def left(self) -> int:
        """Number of bits that are left, padding included."""
        return self._left

    def at_end(self) -> bool:
        """Whether only padding is left: fewer than 8 bits, all of them zero."""
        return self._left < 8 and self._value & ((1 << self._left) - 1) == 0
