"""The keys that a configuration names, read through its key provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gateway import keys
from gateway.config import Config, KeySettings
from gateway.spool.cipher import SpoolKey


@dataclass(frozen=True, kw_only=True)
class KeyRing:
    """None stands for a key that is not configured."""

    recipient: keys.Recipient | None = None
    signer: keys.Signer | None = None
    trusted: keys.TrustedSigners | None = None
    recipient_key: keys.RecipientKey | None = None

    @classmethod
    def load(cls, named: KeySettings) -> Self:
        """Raises KeyFileError, and ResourceError for a provider that can't be reached now."""
        provider = keys.key_provider(named.provider, passphrase_file=named.passphrase_file)
        return cls(
            recipient=keys.load_recipient(named.recipient) if named.recipient else None,
            signer=keys.load_signer(named.signer, provider) if named.signer else None,
            trusted=keys.load_trusted_signers(named.signers) if named.signers else None,
            recipient_key=(
                keys.load_recipient_key(named.recipient_key, provider) if named.recipient_key else None
            ),
        )


def spool_key(config: Config) -> SpoolKey | None:
    """Raises KeyFileError."""
    return SpoolKey.load(config.gateway.spool_key) if config.gateway.spool_key is not None else None
