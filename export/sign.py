"""Sign the cards of the networks:  python -m export.sign --key FILE [--models FOLDER] [--public FILE]

The gateway loads only networks whose hash stands in a card that is signed with the key it was released with
(gateway/seal/codec/release.pub). FILE is made (mode 0600) when there is none; keep it outside the repository, or throw
it away: the next release then brings a key of its own.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.keys import KeyFiles, Signer

RELEASE_KEY = Path("gateway/seal/codec/release.pub")


def sign(models: Path, key: Path, public: Path) -> list[Path]:
    """Write the signature of each card in `models` beside it, and the public key. Raises KeyFileError."""
    if not key.exists():
        _make(key)
    signer = Signer(KeyFiles().signing_key(key))
    signatures = []
    for card in sorted(models.glob("*.json")):
        signature = card.with_name(card.name + ".sig")
        signature.write_bytes(signer.sign(card.read_bytes()))
        signatures.append(signature)
    public.write_bytes(signer.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return signatures


def _make(key: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--key", type=Path, required=True)
    options.add_argument("--models", type=Path, default=Path("onnx_models"))
    options.add_argument("--public", type=Path, default=RELEASE_KEY)
    asked = options.parse_args()
    for signature in sign(asked.models, asked.key, asked.public):
        print(signature)


if __name__ == "__main__":
    main()
