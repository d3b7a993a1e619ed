"""Files of the spool, read: checked against the digest in their name, deciphered, in pieces when they are large."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from blake3 import blake3

from gateway.dicom.lazy_bytes import ByteSource, pieces
from gateway.errors import (
    FileMissing,
    KeyFileError,
    SpoolCorrupt,
)
from gateway.spool.cipher import (
    DecryptedSource,
    SpoolKey,
    is_encrypted,
)

IN_MEMORY_BYTES = 16 << 20  # larger files are read in pieces


READ_BYTES_MAX = 1 << 30


# Files written before digests became part of the name have none, and are read as they are.
_DIGEST = re.compile(r"[0-9a-f]{32}-([0-9a-f]{64})")


class StoredFile:
    """The bytes of a file, read where a slice is taken (`gateway.dicom.lazy_bytes.Octets`).

    With plain reads and not mapped: a mapped file counts as memory of the process, and a disk error would end it.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._length = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        at, stop, _ = where.indices(self._length)
        found = []
        while at < stop:
            piece = os.pread(self._file.fileno(), min(stop - at, READ_BYTES_MAX), at)
            if not piece:
                raise SpoolCorrupt("the spool file became shorter since it was written")
            found.append(piece)
            at += len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def close(self) -> None:
        self._file.close()


@contextmanager
def opened(path: Path, key: SpoolKey | None = None) -> Iterator[ByteSource]:
    """What `read_checked` gives; not in memory if it is larger than IN_MEMORY_BYTES. Raises the same."""
    with stored_bytes(path) as stored:
        data = _clear(stored, key)
        yield data[:] if len(data) <= IN_MEMORY_BYTES else data


def read_checked(path: Path, key: SpoolKey | None = None) -> bytes:
    """The clear bytes of a file, those that were written if it is named as the spool names files.

    Raises FileMissing; SpoolCorrupt when its BLAKE3 is not the one in its name, or it is ciphered with another key;
    KeyFileError when it is ciphered and there is no key.
    """
    with stored_bytes(path) as stored:
        return _clear(stored, key)[:]


@contextmanager
def stored_bytes(path: Path) -> Iterator[ByteSource]:
    """The bytes on the disk, checked; those of a small file are read once. Raises FileMissing, SpoolCorrupt."""
    try:
        file = StoredFile(path)
    except FileNotFoundError as error:
        raise FileMissing("the spool has no file for this job") from error
    with closing(file):
        stored: ByteSource = file[:] if len(file) <= IN_MEMORY_BYTES else file
        _check(path, stored)
        yield stored


def _clear(stored: ByteSource, key: SpoolKey | None) -> ByteSource:
    if not is_encrypted(stored):
        return stored
    if key is None:
        raise KeyFileError(
            "the spool file is ciphered", hint="Configure gateway.spool_key, the key it was with."
        )
    clear = DecryptedSource(stored, key)
    clear.verify_end()
    return clear


def _check(path: Path, data: ByteSource) -> None:
    """Raises SpoolCorrupt."""
    named = _DIGEST.fullmatch(path.stem)
    if not named:
        return
    digest = blake3()
    for piece in pieces(data):
        digest.update(piece)
    if digest.hexdigest() != named[1]:
        raise SpoolCorrupt("the spool file changed since it was written")
