"""The keys that a configuration names, read through its key provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gateway import keys
from gateway.config import Config, KeySettings, StandardSignatureSettings
from gateway.spool.cipher import SpoolKey


@dataclass(frozen=True, kw_only=True)
class KeyRing:
    """The keys of a worker. None stands for a key that is not configured."""

    recipient: keys.Recipient | None = None
    signer: keys.Signer | None = None
    trusted: keys.TrustedSigners | None = None
    recipient_key: keys.RecipientKey | None = None
    certified: keys.CertifiedSigner | None = None
    certificates: keys.CertificateTrust | None = None

    @classmethod
    def load(cls, settings: KeySettings, standard: StandardSignatureSettings | None = None) -> Self:
        """Read the keys that are configured.

        standard: the key of standard signatures, and its certificate.

        Raises KeyFileError when a key can't be read.
        Raises ResourceError when the key provider can't be reached now.
        """
        provider = keys.key_provider(settings.provider, passphrase_file=settings.passphrase_file)
        return cls(
            recipient=keys.load_recipient(settings.recipient) if settings.recipient else None,
            signer=keys.load_signer(settings.signer, provider) if settings.signer else None,
            trusted=keys.load_trusted_signers(settings.signers) if settings.signers else None,
            certificates=(
                keys.CertificateTrust(keys.load_certificates(settings.certificates))
                if settings.certificates
                else None
            ),
            recipient_key=(
                keys.load_recipient_key(settings.recipient_key, provider) if settings.recipient_key else None
            ),
            certified=(
                keys.load_certified_signer(
                    standard.key, standard.certificate, keys.Passphrases(settings.passphrase_file)
                )
                if standard
                else None
            ),
        )


def spool_key(config: Config) -> SpoolKey | None:
    """The key of the spool, None when the spool is not encrypted. Raises KeyFileError."""
    return SpoolKey.load(config.gateway.spool_key) if config.gateway.spool_key is not None else None
