"""Files that only this gateway can read: a stolen disk shows no image.

Chunks of 64 KiB under ChaCha20-Poly1305 (RFC 8439) in the STREAM construction (https://eprint.iacr.org/2015/189), so
that parts can be read alone, and none can be changed, moved, or cut off. A file has a key of its own, derived from a
random salt.

    magic (16 bytes), salt (16), then each chunk with its tag (16); only the last chunk may be shorter
"""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.dicom.lazy_bytes import ByteSource
from gateway.errors import KeyFileError, SpoolCorrupt
from gateway.keys.access import read_private

MAGIC = b"SEALGATE-SPOOL-1"
SALT_BYTES, TAG_BYTES, KEY_BYTES = 16, 16, 32
HEADER_BYTES = len(MAGIC) + SALT_BYTES
CHUNK_BYTES = 64 << 10
CONTEXT = "sealgate 2026-11 key of one spool file"  # BLAKE3 key derivation, https://github.com/BLAKE3-team/BLAKE3-specs
COUNTER_BYTES = 11


class SpoolKey:
    """32 random bytes; shows nothing of them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> SpoolKey:
        """From a file of mode 0600 with 64 hexadecimal digits. Raises KeyFileError."""
        try:
            key = bytes.fromhex(read_private(path).decode("ascii").strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise KeyFileError(
                f"{path} is not a key of a spool", hint="Make one with: sealgate keys new-spool-key FILE"
            )
        return cls(key)

    def cipher(self, salt: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(blake3(self._key + salt, derive_key_context=CONTEXT).digest())

    def __repr__(self) -> str:
        return "SpoolKey(...)"


def write_spool_key(path: Path) -> None:
    """A new key in a new file of mode 0600. Raises KeyFileError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists already", hint="Keys are never overwritten.") from error
    except OSError as error:
        raise KeyFileError(f"can't write {path}: {error.strerror}") from error


class EncryptingWriter:
    """What goes to the disk for what is written. `update` any number of times, then `final` once."""

    def __init__(self, key: SpoolKey) -> None:
        salt = os.urandom(SALT_BYTES)
        self._cipher = key.cipher(salt)
        self._ready = MAGIC + salt
        self._waiting = bytearray()
        self._number = 0

    def update(self, data: bytes) -> bytes:
        """A chunk waits until it is known that it is not the last."""
        self._waiting += data
        ready, self._ready = [self._ready], b""
        whole = max(0, (len(self._waiting) - 1) // CHUNK_BYTES) * CHUNK_BYTES
        for at in range(0, whole, CHUNK_BYTES):
            ready.append(self._chunk(bytes(self._waiting[at : at + CHUNK_BYTES]), last=False))
        del self._waiting[:whole]
        return b"".join(ready)

    def final(self) -> bytes:
        return self._ready + self._chunk(bytes(self._waiting), last=True)

    def _chunk(self, content: bytes, *, last: bool) -> bytes:
        self._number += 1
        return self._cipher.encrypt(_nonce(self._number - 1, last=last), content, None)


class DecryptedSource:
    """The clear bytes of a stored file, deciphered where a slice is taken (`gateway.dicom.lazy_bytes.Octets`)."""

    def __init__(self, stored: ByteSource, key: SpoolKey) -> None:
        """Raises SpoolCorrupt when it is too short to be one."""
        head = stored[:HEADER_BYTES]
        body = len(stored) - HEADER_BYTES
        self._chunks = -(-body // (CHUNK_BYTES + TAG_BYTES))
        self._length = body - self._chunks * TAG_BYTES
        if head[: len(MAGIC)] != MAGIC or self._chunks < 1 or self._length < 0:
            raise SpoolCorrupt("the spool file is cut off")
        self._stored = stored
        self._cipher = key.cipher(head[len(MAGIC) :])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice, /) -> bytes:
        start, stop, _ = where.indices(self._length)
        if start >= stop:
            return b""
        first, last = start // CHUNK_BYTES, (stop - 1) // CHUNK_BYTES
        clear = b"".join(self._chunk(number) for number in range(first, last + 1))
        return clear[start - first * CHUNK_BYTES : stop - first * CHUNK_BYTES]

    def verify_end(self) -> None:
        """Raises SpoolCorrupt unless the last chunk is the last: nothing was cut off."""
        self._chunk(self._chunks - 1)

    def _chunk(self, number: int) -> bytes:
        at = HEADER_BYTES + number * (CHUNK_BYTES + TAG_BYTES)
        stored = self._stored[at : at + CHUNK_BYTES + TAG_BYTES]
        try:
            return self._cipher.decrypt(_nonce(number, last=number == self._chunks - 1), stored, None)
        except InvalidTag as error:
            raise SpoolCorrupt("the spool file changed, or was written with another key") from error


def is_encrypted(stored: ByteSource) -> bool:
    return stored[: len(MAGIC)] == MAGIC


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(COUNTER_BYTES, "big") + bytes([last])
