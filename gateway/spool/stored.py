"""Files of the spool, read: checked against the digest in their name, decrypted, in pieces when they are large."""

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

# Larger files are read in pieces.
IN_MEMORY_BYTES = 16 << 20
READ_BYTES_MAX = 1 << 30

# Files of versions that did not yet put a digest into the name have none. They are read without a check.
_NAME_WITH_DIGEST = re.compile(r"[0-9a-f]{32}-([0-9a-f]{64})")


class StoredFile:
    """The bytes of a file as they are on the disk; a `gateway.dicom.lazy_bytes.ByteSource`.

    They are read, not mapped: a mapped file counts as memory of the process, and a disk error would end the process.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        """descriptor: of the file, when it is open already; it is closed with this.

        Raises OSError.
        """
        self.path = path
        self._file = path.open("rb", buffering=0) if descriptor is None else os.fdopen(descriptor, "rb", 0)
        self._length = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        at, stop, _ = where.indices(self._length)
        parts = []
        while at < stop:
            part = os.pread(self._file.fileno(), min(stop - at, READ_BYTES_MAX), at)
            if not part:
                raise SpoolCorrupt("the spool file became shorter since it was written")
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self._file.close()


@contextmanager
def opened(path: Path, key: SpoolKey | None = None, *, descriptor: int | None = None) -> Iterator[ByteSource]:
    """Give the same bytes as `read_checked`. They are not in memory when there are more than IN_MEMORY_BYTES.

    descriptor: of the file, when it is open already; it is closed at the end.
    Raises the same errors as `read_checked`.
    """
    with stored_bytes(path, descriptor) as stored:
        clear = decrypted(stored, key)
        yield clear[:] if len(clear) <= IN_MEMORY_BYTES else clear


def read_checked(path: Path, key: SpoolKey | None = None) -> bytes:
    """Read the clear bytes of a file. When the spool named the file, they are the bytes that were put.

    path: any file, of the spool or not.
    key: decrypts the file when it is encrypted.

    Raises FileMissing when there is no such file.
    Raises SpoolCorrupt when its BLAKE3 is not the one in its name, or it was encrypted with another key.
    Raises KeyFileError when it is encrypted and there is no key.
    """
    with stored_bytes(path) as stored:
        return decrypted(stored, key)[:]


@contextmanager
def stored_bytes(path: Path, descriptor: int | None = None) -> Iterator[ByteSource]:
    """Give the bytes as they are on the disk, checked against the name. A small file is read only once.

    descriptor: as for `opened`.
    Raises FileMissing, SpoolCorrupt.
    """
    try:
        file = StoredFile(path, descriptor)
    except FileNotFoundError as error:
        raise FileMissing("the spool has no file for this job") from error
    with closing(file):
        stored: ByteSource = file[:] if len(file) <= IN_MEMORY_BYTES else file
        _check_digest(path, stored)
        yield stored


def decrypted(stored: ByteSource, key: SpoolKey | None) -> ByteSource:
    """The clear bytes of an encrypted file; any other file as it is.

    Raises SpoolCorrupt when it was encrypted with another key, KeyFileError when there is no key.
    """
    if not is_encrypted(stored):
        return stored
    if key is None:
        raise KeyFileError(
            "the spool file is encrypted",
            hint="Configure gateway.spool_key: the key that it was encrypted with.",
        )
    clear = DecryptedSource(stored, key)
    clear.verify_end()
    return clear


def _check_digest(path: Path, data: ByteSource) -> None:
    """Raises SpoolCorrupt."""
    named = _NAME_WITH_DIGEST.fullmatch(path.stem)
    if named is None:
        return
    digest = blake3()
    for piece in pieces(data):
        digest.update(piece)
    if digest.hexdigest() != named[1]:
        raise SpoolCorrupt("the spool file changed since it was written")
