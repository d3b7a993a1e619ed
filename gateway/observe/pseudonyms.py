"""Pseudonyms of instances, for logs, metrics and the queue: keyed BLAKE3 of the SOP Instance UID."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from blake3 import blake3

from gateway.errors import UsageError
from gateway.runtime import durable

KEY_FILE = "pseudonym.key"
KEY_BYTES = 32
PSEUDONYM_DIGITS = 16
ID_CHARACTERS = 7


class Pseudonyms:
    """Without the key (mode 0600 in data_dir), nobody can test which UID a pseudonym belongs to."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def existing(cls, data_dir: Path) -> Pseudonyms:
        """With the key of this gateway, which the service makes and nobody else.

        Raises UsageError when there is none, or it can't be read.
        """
        try:
            return cls((data_dir / KEY_FILE).read_bytes())
        except OSError as error:
            raise UsageError(
                f"{data_dir / KEY_FILE}: {error.strerror}",
                hint="Look at gateway.data_dir; the key is made by `sealgate serve`, and read by its user.",
            ) from error

    @classmethod
    def load(cls, data_dir: Path) -> Pseudonyms:
        """With the key of this gateway, which the first call makes. Raises OSError."""
        path = data_dir / KEY_FILE
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            # The first of two processes wins, and both read the same key.
            durable.create_at_once(path, [os.urandom(KEY_BYTES)], mode=0o600)
        return cls(path.read_bytes())

    def gateway_id(self) -> str:
        """Seven characters (a-z, 2-7) that tell this gateway from others. They are no secret."""
        digest = blake3(b"id of the gateway", key=self._key).digest()
        return base64.b32encode(digest).decode().lower()[:ID_CHARACTERS]

    def of(self, sop_instance_uid: str) -> str:
        """The pseudonym of an instance, 16 hex digits."""
        return blake3(sop_instance_uid.encode(), key=self._key).hexdigest()[:PSEUDONYM_DIGITS]
