"""Files that only this gateway can read: a stolen disk shows no image.

The bytes are encrypted in chunks of 64 KiB with ChaCha20-Poly1305 (RFC 8439) in the STREAM construction
(https://eprint.iacr.org/2015/189). So any part can be read alone, and no part can be changed, moved, or cut off. Each
file has a key of its own, derived from the key of the spool and a random salt.

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
from gateway.runtime import durable

MAGIC = b"SEALGATE-SPOOL-1"
SALT_BYTES, TAG_BYTES, KEY_BYTES = 16, 16, 32
HEADER_BYTES = len(MAGIC) + SALT_BYTES
CHUNK_BYTES = 64 << 10
# Of the BLAKE3 key derivation, https://github.com/BLAKE3-team/BLAKE3-specs
CONTEXT = "sealgate 2026-11 key of one spool file"
COUNTER_BYTES = 11


class SpoolKey:
    """32 random bytes. Its `repr` shows nothing of them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, path: Path) -> SpoolKey:
        """Read a file of mode 0600 that holds 64 hexadecimal digits.

        Raises KeyFileError.
        """
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
        """The cipher of the file that begins with `salt`."""
        return ChaCha20Poly1305(blake3(self._key + salt, derive_key_context=CONTEXT).digest())

    def __repr__(self) -> str:
        return "SpoolKey(...)"


def write_spool_key(path: Path) -> None:
    """Write a new key to a new file of mode 0600.

    Raises KeyFileError when the file exists or cannot be written.
    """
    try:
        durable.create(path, [os.urandom(KEY_BYTES).hex().encode() + b"\n"], mode=0o600)
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists already", hint="Keys are never overwritten.") from error
    except OSError as error:
        raise KeyFileError(f"can't write {path}: {error.strerror}") from error


class EncryptingWriter:
    """Encrypts one file: call `update` any number of times, then `final` once, and write what they return."""

    def __init__(self, key: SpoolKey) -> None:
        salt = os.urandom(SALT_BYTES)
        self._cipher = key.cipher(salt)
        self._ready = MAGIC + salt
        self._waiting = bytearray()
        self._number = 0

    def update(self, data: bytes) -> bytes:
        """Returns the next encrypted bytes. A chunk waits until it is known not to be the last one."""
        self._waiting += data
        ready, self._ready = [self._ready], b""
        whole = max(0, (len(self._waiting) - 1) // CHUNK_BYTES) * CHUNK_BYTES
        for at in range(0, whole, CHUNK_BYTES):
            ready.append(self._chunk(bytes(self._waiting[at : at + CHUNK_BYTES]), last=False))
        del self._waiting[:whole]
        return b"".join(ready)

    def final(self) -> bytes:
        """Returns the last encrypted bytes."""
        return self._ready + self._chunk(bytes(self._waiting), last=True)

    def _chunk(self, content: bytes, *, last: bool) -> bytes:
        self._number += 1
        return self._cipher.encrypt(_nonce(self._number - 1, last=last), content, None)


class DecryptedSource:
    """The clear bytes of an encrypted file; a `gateway.dicom.lazy_bytes.ByteSource`. Slices are decrypted on demand."""

    def __init__(self, stored: ByteSource, key: SpoolKey) -> None:
        """stored: the file as it is on the disk.

        Raises SpoolCorrupt when it is too short for an encrypted file.
        """
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
        """Raises SpoolCorrupt when the last chunk was not written as the last one: then the file was cut off."""
        self._chunk(self._chunks - 1)

    def _chunk(self, number: int) -> bytes:
        at = HEADER_BYTES + number * (CHUNK_BYTES + TAG_BYTES)
        stored = self._stored[at : at + CHUNK_BYTES + TAG_BYTES]
        try:
            return self._cipher.decrypt(_nonce(number, last=number == self._chunks - 1), stored, None)
        except InvalidTag as error:
            raise SpoolCorrupt("the spool file changed, or was written with another key") from error


def is_encrypted(stored: ByteSource) -> bool:
    """Whether these are the bytes of an encrypted file."""
    return stored[: len(MAGIC)] == MAGIC


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(COUNTER_BYTES, "big") + bytes([last])
