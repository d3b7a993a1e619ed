"""The restoring element: residual, amplitudes and synthesised change (FORMAT.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from tests.second_reader import cbor, pixels
from tests.second_reader.cbor import Malformed

MASK = (1 << 64) - 1
PERMUTE_KEY = 0x5EA16A7E00000001
COSINES = (
    (5793, 5793, 5793, 5793, 5793, 5793, 5793, 5793),
    (8035, 6811, 4551, 1598, -1598, -4551, -6811, -8035),
    (7568, 3135, -3135, -7568, -7568, -3135, 3135, 7568),
    (6811, -1598, -8035, -4551, 4551, 8035, 1598, -6811),
    (5793, -5793, -5793, 5793, 5793, -5793, -5793, 5793),
)
PAIRS: tuple[tuple[int, int], ...] = (
    *((0, 2), (0, 1), (1, 0), (1, 1), (2, 1), (2, 0), (1, 2), (3, 0)),
    *((0, 3), (2, 2), (3, 1), (4, 0), (1, 3), (3, 2), (4, 1), (0, 4)),
)
TABLE = np.array(
    [[(COSINES[u][r] * COSINES[v][c] + 2**15) >> 16 for r in range(8) for c in range(8)] for u, v in PAIRS],
    np.int64,
)

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def opened(element: bytes, restore_key: bytes, key_context: str, additional: bytes) -> bytes:
    """ChaCha20-Poly1305 with a key derived from the restore key and a nonce of zeros."""
    key = blake3(restore_key, derive_key_context=key_context).digest()
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), element, additional)
    except InvalidTag as error:
        raise Malformed("does not open") from error


def entries(element: bytes, restore_key: bytes) -> dict[int, Any]:
    """The map of a restoring element."""
    plain = opened(element, restore_key, "sealgate restoring key v1", b"sealgate restoring v1")
    values, _ = cbor.decode(plain, strict=False)
    types = dict(enumerate((bytes, str, str, list, dict, str, int, bytes, bytes, int, list), 1))
    if not isinstance(values, dict) or set(values) not in (set(range(1, 9)), set(range(1, 12))):
        raise Malformed("restoring element: its keys")
    if not all(isinstance(values[key], types[key]) for key in values) or values[2] not in ("zero", "sign"):
        raise Malformed("restoring element: a type")
    if 9 in values:
        samples = values[11]
        if not 1 <= values[10] < 1 << 24 or not samples or samples != sorted(set(samples) & {0, 1, 2}):
            raise Malformed("restoring element: a range")
    return values


def original(picture: pixels.Image, values: dict[int, Any]) -> NDArray[Any]:
    """Original = container + residual - synthesised change, proven by its digest. Raises Malformed."""
    frames, rows, columns, samples = picture.values.shape
    count = values[7]
    if not 0 <= count <= frames or max(values.get(11, [0])) >= samples:
        raise Malformed("restoring element: not of this image")
    shape = (count, rows, columns, samples)
    out = picture.values.copy()
    out[:count] += residual(values[8], shape)
    if 9 in values:
        change = synthesised(amplitudes(values[9], shape[:3]), values[10], shape[:3])
        for sample in values[11]:
            out[:count, :, :, sample] -= change
    restored = pixels.Image(out, picture.depth, picture.signed, picture.above, picture.photometric)
    low, high = (
        (-(1 << picture.depth - 1), 1 << picture.depth - 1) if picture.signed else (0, 1 << picture.depth)
    )
    if (out.size and (out.min() < low or out.max() >= high)) or pixels.digest(restored) != values[1]:
        raise Malformed("undoing gives another digest")
    return out


class Source:
    """The bytes of residual or amplitudes, read from the beginning."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def leb(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 63:
                raise Malformed("run: LEB128")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bits(self, count: int) -> NDArray[np.uint8]:
        size = (count + 7) // 8
        raw = np.frombuffer(self.data[self.at : self.at + size], np.uint8)
        if len(raw) < size:
            raise Malformed("run: cut short")
        self.at += size
        found = np.unpackbits(raw)
        if found[count:].any():
            raise Malformed("run: padding")
        return found[:count]

    def numbers(self, count: int, width: int) -> Numbers:
        weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
        return self.bits(count * width).reshape(count, width).astype(np.int64) @ weights

    def run(self, length: int) -> Flags:
        head = self.leb()
        count, inverted = head >> 1, bool(head & 1)
        flags = np.full(length, inverted)
        if count == 0:
            return flags
        k, unary = self.leb(), self.leb()
        if count > length or k > 40:
            raise Malformed("run: too many flags")
        ones = np.flatnonzero(self.bits(unary))
        if len(ones) != count or ones[-1] != unary - 1:
            raise Malformed("run: unary string")
        gaps = (np.diff(ones, prepend=-1) - 1 << k) + self.numbers(count, k)
        places = np.cumsum(gaps + 1) - 1
        if places[-1] >= length:
            raise Malformed("run: too long")
        flags[places] = not inverted
        return flags

    def front(self, length: int) -> Flags:
        used = self.leb()
        if used > length:
            raise Malformed("front: too long")
        flags = np.zeros(length, bool)
        if used:
            flags[:used] = self.run(used)
            if not flags[used - 1]:
                raise Malformed("front: its last flag")
        return flags

    def values(self, count: int, limit: int) -> Numbers:
        """Steps 3 and 4: `count` values that are not 0."""
        shift = self.leb()
        if shift > 30:
            raise Malformed("values: shift")
        negative, low = self.bits(count).astype(bool), self.numbers(count, shift)
        high = np.zeros(count, np.int64)
        levels = self.leb()
        if levels > limit:
            raise Malformed("values: too large")
        reached = np.arange(count)
        for level in range(1, levels + 1):
            reached = reached[self.run(len(reached))]
            high[reached] = level
        size = (high << shift) + low + 1
        if count and size.max() > limit:
            raise Malformed("values: too large")
        return np.where(negative, -size, size)

    def done(self) -> None:
        if self.at != len(self.data):
            raise Malformed("bytes after the last run")


def residual(data: bytes, shape: tuple[int, int, int, int]) -> Numbers:
    """(frames, rows, columns, samples)."""
    frames, rows, columns, samples = shape
    down, across = -(-rows // 8), -(-columns // 8)
    source = Source(data)
    used = source.run(frames * samples * down * across)
    marks = source.run(int(used.sum()) * 64)
    found = source.values(int(marks.sum()), 1 << 30)
    source.done()
    inner = np.zeros(marks.shape, np.int64)
    inner[marks] = found
    cells = np.zeros((len(used), 64), np.int64)
    cells[used] = inner.reshape(-1, 64)
    planes = cells.reshape(frames, samples, down, across, 8, 8).transpose(0, 2, 4, 3, 5, 1)
    whole = planes.reshape(frames, down * 8, across * 8, samples)
    if whole[:, rows:].any() or whole[:, :, columns:].any():
        raise Malformed("residual: a value beyond the edge")
    return whole[:, :rows, :columns]


def mix(x: int) -> int:
    """SplitMix64."""
    x = x + 0x9E3779B97F4A7C15 & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def permute(i: int, size: int) -> int:
    h = max(1, -(-(size - 1).bit_length() // 2))
    mask = (1 << h) - 1
    while True:
        left, right = i >> h, i & mask
        for t in range(4):
            left, right = right, left ^ mix(right + PERMUTE_KEY + (t << 56) & MASK) & mask
        i = left << h | right
        if i < size:
            return i


def amplitudes(data: bytes, shape: tuple[int, int, int]) -> Numbers:
    """(cells, 16), cells by frame, row and column."""
    frames, rows, columns = shape
    cells = (rows // 8) * (columns // 8)
    source = Source(data)
    used = source.front(frames * cells)
    marks = [source.front(int(used.sum())) for _ in range(16)]
    found = source.values(sum(int(mark.sum()) for mark in marks), 127)
    source.done()
    inner = np.zeros((16, int(used.sum())), np.int64)
    inner[np.array(marks)] = found
    order = [i % frames * cells + permute(i // frames, cells) for i in np.flatnonzero(used).tolist()]
    out = np.zeros((frames * cells, 16), np.int64)
    out[order] = inner.T
    return out


def synthesised(amplitude: Numbers, scale: int, shape: tuple[int, int, int]) -> Numbers:
    """(frames, rows, columns)."""
    frames, rows, columns = shape
    down, across = rows // 8, columns // 8
    cells = (scale * (amplitude @ TABLE) + (1 << 19)) >> 20
    out = np.zeros(shape, np.int64)
    planes = cells.reshape(frames, down, across, 8, 8).transpose(0, 1, 3, 2, 4)
    out[:, : down * 8, : across * 8] = planes.reshape(frames, down * 8, across * 8)
    return out
