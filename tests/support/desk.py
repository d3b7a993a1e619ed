"""Both ends of the way with a fixed time: the keys and calls of the one who seals and of the one who verifies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import keys
from gateway.seal import SealOptions, SealResult, seal
from gateway.seal.codec import Codec
from gateway.seal.verifying import (
    Extraction,
    Report,
    Restoration,
    extract,
    restore,
    verify,
)

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Desk:
    """Seals, verifies, extracts and restores with one set of keys."""

    recipient: keys.Recipient
    recipient_key: keys.RecipientKey
    signer: keys.Signer
    trusted: keys.TrustedSigners
    codec: Codec

    @classmethod
    def of(cls, folder: Path, codec: Codec) -> Desk:
        return cls(
            keys.load_recipient(folder / "recipient.pub"),
            keys.load_recipient_key(folder / "recipient.key"),
            keys.load_signer(folder / "signer.key"),
            keys.load_trusted_signers(folder / "signer.pub"),
            codec,
        )

    def seal(self, data: bytes, **options: Any) -> tuple[bytes, SealResult]:
        return seal(
            data,
            recipient=self.recipient,
            signer=self.signer,
            codec=self.codec,
            options=SealOptions(**options),
            now=NOW,
        )

    def seal_with(self, data: bytes, entropy: Callable[[int], bytes]) -> bytes:
        sealed, _ = seal(
            data, recipient=self.recipient, signer=self.signer, codec=self.codec, now=NOW, entropy=entropy
        )
        return sealed

    def verify(self, data: bytes, *, with_key: bool = True) -> Report:
        key = self.recipient_key if with_key else None
        return verify(data, trusted=self.trusted, recipient_key=key, codec=self.codec)

    def extract(self, data: bytes) -> Extraction:
        return extract(data, recipient_key=self.recipient_key, codec=self.codec)

    def record(self, data: bytes) -> Mapping[str, Any]:
        """The record hidden in the pixels, which must be there."""
        record = self.extract(data).record
        assert record is not None
        return record

    def restore(self, data: bytes) -> tuple[bytes | None, Restoration]:
        return restore(data, recipient_key=self.recipient_key, codec=self.codec)
