"""Keys by role: who may open records (recipient) and who vouches for objects (signer).

Files are PEM: PKCS #8 for the private halves, SubjectPublicKeyInfo for the public ones (RFC 5958, RFC 5280,
RFC 8410). A key is named by the first bytes of the BLAKE3 hash of its raw public key: 4 bytes for recipients
(they are hidden in pixels, where every byte costs), 8 bytes for signers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from blake3 import blake3
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import KeyFileError

Curve = Literal["x25519", "p256"]
RecipientPublic = x25519.X25519PublicKey | ec.EllipticCurvePublicKey
RecipientPrivate = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey

RECIPIENT_ID_BYTES = 4
SIGNER_ID_BYTES = 8
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def _curve(key: RecipientPublic) -> Curve:
    return "x25519" if isinstance(key, x25519.X25519PublicKey) else "p256"


def _raw(key: RecipientPublic | Ed25519PublicKey) -> bytes:
    """32 bytes for the Edwards curves, 33 bytes (compressed point, SEC 1 2.3.3) for P-256."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _key_id(key: RecipientPublic | Ed25519PublicKey, length: int) -> bytes:
    return blake3(_raw(key)).digest(length)


@dataclass(frozen=True)
class Recipient:
    """To whom records are encrypted: the public half only."""

    public: RecipientPublic = field(repr=False)

    @property
    def curve(self) -> Curve:
        return _curve(self.public)

    @property
    def key_id(self) -> bytes:
        return _key_id(self.public, RECIPIENT_ID_BYTES)


@dataclass(frozen=True)
class RecipientKey:
    """Who may open records: the private half."""

    private: RecipientPrivate = field(repr=False)

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.private.public_key())

    @property
    def curve(self) -> Curve:
        return self.recipient.curve

    @property
    def key_id(self) -> bytes:
        return self.recipient.key_id


@dataclass(frozen=True)
class Signer:
    """Who vouches for sealed objects: an Ed25519 private key (RFC 8032)."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    @property
    def key_id(self) -> bytes:
        return _key_id(self.public, SIGNER_ID_BYTES)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`."""
        return self.private.sign(message)


class TrustedSigners:
    """The public keys whose seals are believed."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._by_id = {_key_id(key, SIGNER_ID_BYTES): key for key in keys}

    def find(self, key_id: bytes) -> Ed25519PublicKey | None:
        return self._by_id.get(key_id)

    def __len__(self) -> int:
        return len(self._by_id)


def generate(folder: Path, *, curve: str = "x25519") -> None:
    """Write `recipient.key`, `recipient.pub`, `signer.key` and `signer.pub` into `folder`.

    Private files get mode 0600. Raises KeyFileError, having written nothing, when one of the four exists
    already.
    """
    recipient: RecipientPrivate
    if curve == "x25519":
        recipient = x25519.X25519PrivateKey.generate()
    elif curve == "p256":
        recipient = ec.generate_private_key(ec.SECP256R1())
    else:
        raise KeyFileError(f"unknown curve {curve!r}", hint="Use x25519 or p256.")
    signer = Ed25519PrivateKey.generate()
    files = {
        "recipient.key": (_private_pem(recipient), 0o600),
        "recipient.pub": (_public_pem(recipient.public_key()), 0o644),
        "signer.key": (_private_pem(signer), 0o600),
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
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"can't write keys to {folder}: {error.strerror}") from error


def load_recipient(path: Path) -> Recipient:
    """The public key records are encrypted to. Raises KeyFileError."""
    key = _public_key(_read(path), path)
    if not isinstance(key, x25519.X25519PublicKey) and not _is_p256(key):
        raise KeyFileError(
            f"{path} is not an X25519 or P-256 public key",
            hint="Give the recipient.pub that `sealgate keygen` wrote.",
        )
    return Recipient(key)  # type: ignore[arg-type]  # narrowed by the line above


def load_recipient_key(path: Path) -> RecipientKey:
    """The private key that opens records. Raises KeyFileError."""
    key = _private_key(path)
    if not isinstance(key, x25519.X25519PrivateKey) and not (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        raise KeyFileError(
            f"{path} is not an X25519 or P-256 private key",
            hint="Give the recipient.key that `sealgate keygen` wrote.",
        )
    return RecipientKey(key)


def load_signer(path: Path) -> Signer:
    """The private key statements are signed with. Raises KeyFileError."""
    key = _private_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path} is not an Ed25519 private key", hint="Give the signer.key that `sealgate keygen` wrote."
        )
    return Signer(key)


def load_trusted_signers(path: Path) -> TrustedSigners:
    """All Ed25519 public keys of a file (one or several PEM blocks) or of the `*.pub` and `*.pem` files of a
    folder.

    Public keys of other kinds in a folder are passed over, since recipient.pub usually lies beside
    signer.pub. Raises KeyFileError when there is no Ed25519 key at all.
    """
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix in {".pub", ".pem"} and f.is_file())
    else:
        files = [path]
    found: list[Ed25519PublicKey] = []
    for file in files:
        for block in _PEM.findall(_read(file)) or [b""]:
            key = _public_key(block, file)
            if isinstance(key, Ed25519PublicKey):
                found.append(key)
    if not found:
        raise KeyFileError(
            f"no Ed25519 public key in {path}",
            hint="Give a signer.pub, or a folder that holds the *.pub files of the signers you believe.",
        )
    return TrustedSigners(found)


def _is_p256(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"can't read the key file {path}: {error.strerror}", hint="Check the path and its permissions."
        ) from error


def _public_key(pem: bytes, path: Path) -> object:
    try:
        return serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is not a public key in PEM", hint="Give a .pub file.") from error


def _private_key(path: Path) -> object:
    content = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(
            f"the private key {path} is open to group or others", hint=f"Run: chmod 600 {path}"
        )
    try:
        return serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"{path} is not an unencrypted private key in PEM", hint="Give a .key file."
        ) from error


def _private_pem(key: RecipientPrivate | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: RecipientPublic | Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
