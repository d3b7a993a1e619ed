"""The hidden payload: an envelope (the record, encrypted with HPKE) or a locator that points to one.

See FORMAT.md, "Payload". Encryption is HPKE base mode (RFC 9180) with the KEM of the recipient's curve, HKDF-SHA256 and
AES-128-GCM. The library draws the ephemeral key itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import OtherRecipient, SealBroken
from gateway.keys import (
    RECIPIENT_ID_BYTES,
    SUITES,
    Recipient,
    RecipientKey,
)

INFO = b"sealgate v1"
X25519_ENVELOPE = 0x11
P256_ENVELOPE = 0x12
LOCATOR = 0x1F
LOCATOR_ID_BYTES = 16
# Number of the check in FORMAT.md that this module serves.
CHECK = 8

_X25519_POINT, _P256_POINT, _P256_COMPRESSED, _TAG = 32, 65, 33, 16
_ENVELOPES = {"x25519": X25519_ENVELOPE, "p256": P256_ENVELOPE}


@dataclass(frozen=True)
class Envelope:
    """An encrypted record.

    suite: X25519_ENVELOPE or P256_ENVELOPE.
    recipient_id: 4 bytes that name the key which opens it.
    encapsulated: the ephemeral public key, 32 bytes (X25519) or 33 (compressed P-256 point).
    ciphertext: with its 16-byte tag.
    """

    suite: int
    recipient_id: bytes
    encapsulated: bytes
    ciphertext: bytes

    def to_payload(self) -> bytes:
        return bytes([self.suite]) + self.recipient_id + self.encapsulated + self.ciphertext


@dataclass(frozen=True)
class Locator:
    """A random name of 16 bytes. The envelope itself is in the private block."""

    locator_id: bytes

    def to_payload(self) -> bytes:
        return bytes([LOCATOR]) + self.locator_id


def close(packed_record: bytes, recipient: Recipient) -> Envelope:
    """Encrypt a packed record to its recipient."""
    suite = _ENVELOPES[recipient.curve]
    sealed = SUITES[recipient.curve].encrypt(packed_record, recipient.public, INFO)
    if suite == X25519_ENVELOPE:
        return Envelope(suite, recipient.key_id, sealed[:_X25519_POINT], sealed[_X25519_POINT:])
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sealed[:_P256_POINT])
    compressed = point.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    return Envelope(suite, recipient.key_id, compressed, sealed[_P256_POINT:])


def open_envelope(envelope: Envelope, key: RecipientKey) -> bytes:
    """The packed record.

    Raises OtherRecipient when it was encrypted to another key, SealBroken when it was changed.
    """
    holder = key.find(envelope.recipient_id)
    if holder is None:
        raise OtherRecipient(envelope.recipient_id.hex(), check=CHECK)
    encapsulated = envelope.encapsulated
    try:
        if _ENVELOPES[Recipient(holder.public).curve] != envelope.suite:
            raise ValueError("the envelope is for a key of another curve")
        if envelope.suite == P256_ENVELOPE:
            encapsulated = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), encapsulated
            ).public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return holder.open(encapsulated, envelope.ciphertext, INFO)
    except ValueError as error:
        raise SealBroken("the envelope does not open: it was changed", check=CHECK) from error


def parse(payload: bytes) -> Envelope | Locator | None:
    """What a payload holds; None when its kind or length is none of this format.

    payload: its CRC-32 was checked by the codec (codec/CODEC.md, "Message").
    """
    if not payload:
        return None
    kind, content = payload[0], payload[1:]
    if kind == LOCATOR:
        return Locator(content) if len(content) == LOCATOR_ID_BYTES else None
    point = {X25519_ENVELOPE: _X25519_POINT, P256_ENVELOPE: _P256_COMPRESSED}.get(kind)
    if point is None or len(content) < RECIPIENT_ID_BYTES + point + _TAG:
        return None
    recipient_id, rest = content[:RECIPIENT_ID_BYTES], content[RECIPIENT_ID_BYTES:]
    return Envelope(kind, recipient_id, rest[:point], rest[point:])
