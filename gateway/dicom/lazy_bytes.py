"""Bytes that need not be in memory: parts of a long file, read where they are needed and a piece at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Protocol

PIECE_BYTES = 4 << 20


class ByteSource(Protocol):
    """What `bytes` is, as far as slices go; a slice is read when it is taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> bytes: ...


class ByteRange:
    """data[start:stop], not read yet."""

    def __init__(self, data: ByteSource, start: int, stop: int) -> None:
        self._data, self._start, self._length = data, start, max(stop - start, 0)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        start, stop, _ = where.indices(self._length)
        return self._data[self._start + start : self._start + max(start, stop)]

    def buffer(self) -> bytes | memoryview:
        """All of it, without a copy if it is in memory."""
        if isinstance(self._data, bytes):
            return memoryview(self._data)[self._start : self._start + self._length]
        return self[:]


class Concatenation:
    """Parts one after another, as `b"".join` would make them."""

    def __init__(self, parts: Iterable[ByteSource]) -> None:
        self._parts = list(parts)
        self._length = sum(len(part) for part in self._parts)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        start, stop, _ = where.indices(self._length)
        found, at = [], 0
        for part in self._parts:
            if at >= stop:
                break
            if at + len(part) > start:
                found.append(part[max(start - at, 0) : stop - at])
            at += len(part)
        return b"".join(found)


class ByteSourceIO(io.RawIOBase):
    """Octets as a file to read from."""

    def __init__(self, data: ByteSource) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        stop = len(self._data) if size is None or size < 0 else self._at + size
        found = self._data[self._at : stop]
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at


def flat(parts: Iterable[ByteSource]) -> bytes:
    """The parts joined, in memory."""
    return b"".join(part.buffer() if isinstance(part, ByteRange) else part[:] for part in parts)


def pieces(data: ByteSource) -> Iterator[bytes]:
    """All of it, at most PIECE_BYTES at a time; what is in memory already comes as one."""
    if isinstance(data, bytes):
        yield data
        return
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
