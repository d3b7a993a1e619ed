"""Networks and keys, loaded once per process."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from gateway import keys
from gateway.seal.codec.codec import Codec

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
def trusted_signers(path: Path) -> keys.TrustedSigners:
    return keys.load_trusted_signers(path)


@cache
def _provider() -> keys.KeyProvider:
    """Commands without a configuration file take the provider from the variable that would override its key."""
    return keys.key_provider(os.environ.get(PROVIDER))
