"""Networks and keys, each loaded once in a process."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from gateway import keys
from gateway.config import TimeStampSettings
from gateway.seal.codec.codec import Codec
from gateway.work.time_stamping import TimeStamper

PROVIDER = "SEALGATE_KEYS__PROVIDER"


@cache
def codec() -> Codec:
    return Codec.load()


@cache
def recipient(path: Path) -> keys.Recipient:
    return keys.load_recipient(path)


@cache
def recipient_key(path: Path) -> keys.RecipientKey:
    return keys.load_recipient_key(path, _provider())


@cache
def signer(path: Path) -> keys.Signer:
    return keys.load_signer(path, _provider())


@cache
def certified_signer(key: Path, certificate: Path) -> keys.CertifiedSigner:
    return keys.load_certified_signer(key, certificate)


@cache
def time_stamper(settings: TimeStampSettings) -> TimeStamper:
    return TimeStamper.of(settings)


@cache
def trusted_signers(path: Path) -> keys.TrustedSigners:
    return keys.load_trusted_signers(path)


@cache
def certificate_trust(path: Path) -> keys.CertificateTrust:
    return keys.CertificateTrust(keys.load_certificates(path))


@cache
def _provider() -> keys.KeyProvider:
    """The provider of private keys, for commands without a configuration file.

    They take it from the environment variable that would override `keys.provider` of such a file.
    """
    return keys.key_provider(os.environ.get(PROVIDER))
