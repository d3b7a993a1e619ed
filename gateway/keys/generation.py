"""New key pairs, written as files."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import KeyFileError
from gateway.keys.identity import RecipientPublic
from gateway.keys.roles import RecipientPrivate
from gateway.runtime import durable
from gateway.runtime.core_dumps import forbid_dumps


def generate(folder: Path, *, curve: str = "x25519", passphrase: bytes | None = None) -> None:
    """Write `recipient.key`, `recipient.pub`, `signer.key` and `signer.pub` into a folder.

    Private files get mode 0600.

    curve: of the recipient, x25519 or p256.
    passphrase: encrypts the private files (PKCS #8, AES-256); None leaves them in clear.
    Raises KeyFileError when one of the four files exists already; then nothing was written.
    """
    forbid_dumps()
    recipient: RecipientPrivate
    if curve == "x25519":
        recipient = x25519.X25519PrivateKey.generate()
    elif curve == "p256":
        recipient = ec.generate_private_key(ec.SECP256R1())
    else:
        raise KeyFileError(f"unknown curve {curve!r}", hint="Use x25519 or p256.")
    signer = Ed25519PrivateKey.generate()
    files = {
        "recipient.key": (_private_pem(recipient, passphrase), 0o600),
        "recipient.pub": (_public_pem(recipient.public_key()), 0o644),
        "signer.key": (_private_pem(signer, passphrase), 0o600),
        "signer.pub": (_public_pem(signer.public_key()), 0o644),
    }
    for name in files:
        if (folder / name).exists():
            raise KeyFileError(
                f"{folder / name} exists already",
                hint="Keys are never overwritten: choose another folder, or move the old keys away.",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (content, mode) in files.items():
            durable.create(folder / name, [content], mode=mode)
    except OSError as error:
        raise KeyFileError(f"can't write keys to {folder}: {error.strerror}") from error


def _private_pem(key: RecipientPrivate | Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _public_pem(key: RecipientPublic | Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
