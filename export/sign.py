"""Sign the cards of the networks:  python -m export.sign --key FILE [--models FOLDER] [--public FILE]

The gateway loads a network only when its hash is in a signed card. The signature must be that of the release key,
whose public part is gateway/seal/codec/release.pub. When the key FILE does not exist, it is made (mode 0600). Keep it
outside the repository. Or throw it away: then the next release has a new key.
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
    """Sign each card.

    models: folder of the cards; each signature is written beside its card.
    key: the private key; it is made when there is none.
    public: where the public key is written.

    Returns the signatures.
    Raises KeyFileError when the private key can't be read.
    """
    if not key.exists():
        _make_key(key)
    signer = Signer(KeyFiles().signing_key(key))
    signatures = []
    for card in sorted(models.glob("*.json")):
        signature = card.with_name(card.name + ".sig")
        signature.write_bytes(signer.sign(card.read_bytes()))
        signatures.append(signature)
    public.write_bytes(signer.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return signatures


def _make_key(key: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("onnx_models"))
    parser.add_argument("--public", type=Path, default=RELEASE_KEY)
    arguments = parser.parse_args()
    for signature in sign(arguments.models, arguments.key, arguments.public):
        print(signature)


if __name__ == "__main__":
    main()
