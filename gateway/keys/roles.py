"""Keys by role: the recipient may open records, the signer vouches for objects.

The private operations are two small protocols, so that a private key may be kept elsewhere: in a PKCS #11 device, a key
management service, or another process. Nothing above this package sees a private key. Objects that hold one show only
its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from gateway.errors import ResourceError
from gateway.keys.identity import (
    Curve,
    RecipientPublic,
    fingerprint,
    recipient_id,
    signer_id,
)

RecipientPrivate = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey

SUITES: dict[Curve, Suite] = {
    "x25519": Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM),
    "p256": Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM),
}


@runtime_checkable
class SigningKey(Protocol):
    """A private Ed25519 key (RFC 8032), wherever it is."""

    @property
    def public(self) -> Ed25519PublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """The signature over a message, 64 bytes.

        Raises ResourceError when the key can't be reached now.
        """


@runtime_checkable
class OpeningKey(Protocol):
    """A private X25519 or P-256 key, wherever it is."""

    @property
    def public(self) -> RecipientPublic: ...

    def open(self, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes:
        """HPKE base mode (RFC 9180 5.1.1 and 6.1), HKDF-SHA256, AES-128-GCM, no associated data, first message.

        encapsulated: `enc` of the RFC, 32 bytes, or 65 bytes (uncompressed point) for P-256.
        ciphertext: with its tag.
        info: as in the RFC.
        Raises ValueError when the message does not open.
        Raises ResourceError when the key can't be reached now.
        """


@dataclass(frozen=True)
class Recipient:
    """The public key to which records are encrypted."""

    public: RecipientPublic = field(repr=False)

    @property
    def curve(self) -> Curve:
        return "x25519" if isinstance(self.public, x25519.X25519PublicKey) else "p256"

    @property
    def key_id(self) -> bytes:
        return recipient_id(self.public)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def __repr__(self) -> str:
        return f"Recipient({self.key_id.hex()})"


@dataclass(frozen=True, repr=False)
class HeldSigningKey:
    """A signing key in the memory of this process."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def __repr__(self) -> str:
        return f"HeldSigningKey({signer_id(self.public).hex()})"


@dataclass(frozen=True, repr=False)
class HeldOpeningKey:
    """A recipient's key in the memory of this process."""

    private: RecipientPrivate

    @property
    def public(self) -> RecipientPublic:
        return self.private.public_key()

    def open(self, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes:
        suite = SUITES[Recipient(self.public).curve]
        try:
            return bytes(suite.decrypt(encapsulated + ciphertext, self.private, info))
        except (InvalidTag, TypeError) as error:
            raise ValueError("the message does not open") from error

    def __repr__(self) -> str:
        return f"HeldOpeningKey({recipient_id(self.public).hex()})"


@dataclass(frozen=True, repr=False)
class RecipientKey:
    """The private key that opens records, or several of them while records of older keys are still read.

    keys: at least one; the first is the present one.
    """

    keys: tuple[OpeningKey, ...]

    @property
    def recipient(self) -> Recipient:
        """The public half of the first key."""
        return Recipient(self.keys[0].public)

    @property
    def curve(self) -> Curve:
        return self.recipient.curve

    @property
    def key_id(self) -> bytes:
        return self.recipient.key_id

    def find(self, key_id: bytes) -> OpeningKey | None:
        """The key that a record names; None when the record is encrypted to somebody else."""
        return next((key for key in self.keys if recipient_id(key.public) == key_id), None)

    def __repr__(self) -> str:
        return f"RecipientKey({', '.join(recipient_id(key.public).hex() for key in self.keys)})"


@dataclass(frozen=True, repr=False)
class Signer:
    """The private key that vouches for sealed objects."""

    key: SigningKey

    @property
    def public(self) -> Ed25519PublicKey:
        return self.key.public

    @property
    def key_id(self) -> bytes:
        return signer_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """The signature over a message, 64 bytes.

        It is checked before it is returned: a failing device must not make seals that nobody can verify.

        Raises ResourceError when the key can't be reached now, or its signature does not verify.
        """
        signature = self.key.sign(message)
        try:
            self.public.verify(signature, message)
        except InvalidSignature as error:
            raise ResourceError(
                f"signer {self.key_id.hex()} made a signature that does not verify",
                hint="Look at the device or service that holds the key.",
            ) from error
        return signature

    def __repr__(self) -> str:
        return f"Signer({self.key_id.hex()})"
