"""Bytes that need not be in memory: parts of a long file, which are read where they are needed, piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Protocol

PIECE_BYTES = 4 << 20


class ByteSource(Protocol):
    """Bytes with a length, of which slices can be taken as of `bytes`. A slice is read when it is taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> bytes: ...


class ByteRange:
    """The bytes data[start:stop], which are not read yet."""

    def __init__(self, data: ByteSource, start: int, stop: int) -> None:
        self._data, self._start, self._length = data, start, max(stop - start, 0)

    @property
    def start(self) -> int:
        """Where it begins in its data."""
        return self._start

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        start, stop, _ = where.indices(self._length)
        return self._data[self._start + start : self._start + max(start, stop)]

    def buffer(self) -> bytes | memoryview:
        """All bytes, without a copy if they are in memory."""
        if isinstance(self._data, bytes):
            return memoryview(self._data)[self._start : self._start + self._length]
        return self[:]


class Concatenation:
    """Parts one after another, as `b"".join` would give them. None is read yet."""

    def __init__(self, parts: Iterable[ByteSource]) -> None:
        self._parts = list(parts)
        self._length = sum(len(part) for part in self._parts)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        start, stop, _ = where.indices(self._length)
        slices, at = [], 0
        for part in self._parts:
            if at >= stop:
                break
            if at + len(part) > start:
                slices.append(part[max(start - at, 0) : stop - at])
            at += len(part)
        return b"".join(slices)


class ByteSourceIO(io.RawIOBase):
    """A byte source as a file that can be read."""

    def __init__(self, data: ByteSource) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        stop = len(self._data) if size is None or size < 0 else self._at + size
        content = self._data[self._at : stop]
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at


def flat(parts: Iterable[ByteSource]) -> bytes:
    """All parts joined, in memory."""
    return b"".join(part.buffer() if isinstance(part, ByteRange) else part[:] for part in parts)


def pieces(data: ByteSource) -> Iterator[bytes]:
    """All bytes, at most PIECE_BYTES at a time. Bytes that are in memory already come as one piece."""
    if isinstance(data, bytes):
        yield data
        return
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
