"""A ledger of any size, its signer, and exports of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keys import Signer, TrustedSigner
from gateway.keys.roles import HeldSigningKey
from tests.support.ledgers import add

Grown = Callable[..., Path]


@pytest.fixture(scope="session")
def ledger_signer() -> Signer:
    return Signer(HeldSigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32)))))


@pytest.fixture(scope="session")
def signers(ledger_signer: Signer) -> list[TrustedSigner]:
    return [TrustedSigner(ledger_signer.public)]


@pytest.fixture
def grown(tmp_path: Path, ledger_signer: Signer) -> Grown:
    """Makes or lengthens the ledger of this test: `grown(600)` adds 600 entries and signs. Gives its folder."""

    def grow(count: int, name: str = "ledger") -> Path:
        return add(tmp_path / name, count, ledger_signer)

    return grow
