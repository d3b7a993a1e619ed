"""The names of keys: ids in objects and logs, fingerprints for people who compare them by telephone.

An id is the beginning of the BLAKE3 hash of the raw public key: 8 bytes for signers, and 4 bytes for recipients, whose
ids are hidden in pixels, where every byte costs. A fingerprint is the SHA-256 (FIPS 180-4) of the raw public key modulo
10^30, in 30 decimal digits: about 99 bits, in six groups of five. `openssl` and the library of every language can
compute it too.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Curve = Literal["x25519", "p256"]
RecipientPublic = x25519.X25519PublicKey | ec.EllipticCurvePublicKey

RECIPIENT_ID_BYTES = 4
SIGNER_ID_BYTES = 8
FINGERPRINT_GROUPS, GROUP_DIGITS = 6, 5


def raw_public(key: RecipientPublic | Ed25519PublicKey) -> bytes:
    """The raw public key: 33 bytes (compressed point, SEC 1 2.3.3) for P-256, 32 bytes for the others."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def recipient_id(key: RecipientPublic) -> bytes:
    """4 bytes."""
    return blake3(raw_public(key)).digest(RECIPIENT_ID_BYTES)


def signer_id(key: Ed25519PublicKey) -> bytes:
    """8 bytes."""
    return blake3(raw_public(key)).digest(SIGNER_ID_BYTES)


def fingerprint(key: RecipientPublic | Ed25519PublicKey) -> str:
    """`12345 67890 ...`: six groups of five digits."""
    digits = FINGERPRINT_GROUPS * GROUP_DIGITS
    number = int.from_bytes(hashlib.sha256(raw_public(key)).digest(), "big") % 10**digits
    text = f"{number:0{digits}d}"
    return " ".join(text[at : at + GROUP_DIGITS] for at in range(0, digits, GROUP_DIGITS))


def is_recipient(key: object) -> bool:
    """Whether records can be encrypted to this public key: X25519 or P-256."""
    return isinstance(key, x25519.X25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    )
