"""The statement: what the gateway vouches for, as deterministic CBOR (RFC 8949 4.2.1), and its Ed25519 signature."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import cbor2
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import SealBroken
from gateway.keys import Signer

# It keeps anyone from having the key sign one thing that can pass for another.
SIGNATURE_PREFIX = b"sealgate statement v1\0"
VERSION = 1
TILE_EDGES = (64, 32, 16, 8)
# Numbers of checks in FORMAT.md.
FORM_CHECK, SIGNATURE_CHECK = 2, 3


class Level(StrEnum):
    """How far an object was sealed."""

    # The pixels carry the envelope or a locator.
    FULL = "full"
    # The pixels are untouched.
    DIGEST = "digest"
    # The whole object is untouched.
    PASS = "pass"


class Domain(StrEnum):
    """What the digest covers."""

    # Decoded samples.
    PIXELS = "pixels"
    # The pixel data as it is encoded.
    FRAGMENTS = "fragments"
    # The standard elements of an object without integer pixel data.
    DATASET = "dataset"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What the gateway vouches for; FORMAT.md, "Statement", explains the fields.

    The keys of the CBOR map are the numbers in the metadata. Empty values are left out of the map.
    """

    version: int = field(default=VERSION, metadata={"key": 1})
    level: str = field(metadata={"key": 2})
    reason: str = field(metadata={"key": 3})
    domain: str = field(metadata={"key": 4})
    digest: bytes = field(metadata={"key": 5, "length": 32})
    sop_class_uid: str = field(default="", metadata={"key": 6})
    sop_instance_uid: str = field(default="", metadata={"key": 7})
    transfer_syntax: str = field(metadata={"key": 8})
    header_salt: bytes = field(metadata={"key": 9, "length": 16})
    header_digests: dict[int, bytes] = field(metadata={"key": 10})
    sealed_at: int = field(metadata={"key": 11})
    signer_id: bytes = field(metadata={"key": 12, "length": 8})
    recipient_id: bytes = field(default=b"", metadata={"key": 13, "length": 4})
    mode: str = field(default="", metadata={"key": 14})
    payload_hash: bytes = field(default=b"", metadata={"key": 15, "length": 32})
    codec_id: str = field(default="", metadata={"key": 16})
    profile: str = field(default="", metadata={"key": 17})
    hint: dict[str, int] = field(default_factory=dict, metadata={"key": 18})
    tile_edge: int = field(default=0, metadata={"key": 19})
    tiles_hash: bytes = field(default=b"", metadata={"key": 20, "length": 32})
    restoring_hash: bytes = field(default=b"", metadata={"key": 21, "length": 32})
    envelope_hash: bytes = field(default=b"", metadata={"key": 22, "length": 32})

    def names_payload(self, payload: bytes) -> bool:
        """Whether this payload is the one that was hidden in the pixels."""
        return self.payload_hash == blake3(payload).digest()


_FIELDS = {entry.metadata["key"]: entry for entry in fields(Statement)}
_REQUIRED = frozenset({1, 2, 3, 4, 5, 8, 9, 10, 11, 12})
_TYPES: dict[str, type] = {
    "int": int,
    "str": str,
    "bytes": bytes,
    "dict[int, bytes]": dict,
    "dict[str, int]": dict,
}


def encode(statement: Statement) -> bytes:
    """The statement as deterministic CBOR: shortest forms, keys in order."""
    content = {key: getattr(statement, entry.name) for key, entry in _FIELDS.items()}
    kept = {key: value for key, value in content.items() if key in _REQUIRED or value}
    return cbor2.dumps(kept, canonical=True)


def decode(data: bytes) -> tuple[Statement, bytes]:
    """The statement at the beginning of `data`, and exactly the bytes that it takes.

    Raises SealBroken when the version is unknown, when entries are unknown or of a wrong type, when the encoding is not
    deterministic, or when anything but one zero byte of padding follows.
    """
    stream = io.BytesIO(data)
    try:
        content = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise SealBroken("the statement is not CBOR", check=FORM_CHECK) from error
    used = stream.tell()
    if data[used:] not in (b"", b"\0"):
        raise SealBroken("bytes follow the statement", check=FORM_CHECK)
    statement = _checked(content)
    if encode(statement) != data[:used]:
        raise SealBroken("the statement is not encoded deterministically", check=FORM_CHECK)
    return statement, data[:used]


def sign(encoded: bytes, signer: Signer) -> bytes:
    """The signature, 64 bytes: Ed25519 (RFC 8032) over SIGNATURE_PREFIX and the encoded statement."""
    return signer.sign(SIGNATURE_PREFIX + encoded)


def check_signature(encoded: bytes, signature: bytes, key: Ed25519PublicKey) -> None:
    """Raises SealBroken when the signature was not made with the private key of `key`."""
    try:
        key.verify(signature, SIGNATURE_PREFIX + encoded)
    except InvalidSignature as error:
        raise SealBroken("the signature does not match the statement", check=SIGNATURE_CHECK) from error


def _checked(content: Any) -> Statement:
    if not isinstance(content, dict) or content.get(1) != VERSION:
        raise SealBroken("the statement has an unknown version", check=FORM_CHECK)
    if not _REQUIRED <= content.keys() <= _FIELDS.keys():
        raise SealBroken("the statement lacks entries or has unknown ones", check=FORM_CHECK)
    for key, value in content.items():
        entry = _FIELDS[key]
        length = entry.metadata.get("length")
        if type(value) is not _TYPES[str(entry.type)] or (
            isinstance(value, bytes) and length is not None and len(value) != length
        ):
            raise SealBroken(f"entry {key} of the statement is malformed", check=FORM_CHECK)
    digests = content[10]
    if not all(
        type(tag) is int and type(value) is bytes and len(value) == 8 for tag, value in digests.items()
    ):
        raise SealBroken("the header digests of the statement are malformed", check=FORM_CHECK)
    if not all(type(name) is str and type(value) is int for name, value in content.get(18, {}).items()):
        raise SealBroken("the codec hint of the statement is malformed", check=FORM_CHECK)
    if content[2] not in {Level.FULL, Level.DIGEST} or content[4] not in set(Domain):
        raise SealBroken("the statement names an unknown level or domain", check=FORM_CHECK)
    if content.get(19, 0) not in (TILE_EDGES if content[4] == Domain.PIXELS else {0}):
        raise SealBroken("the tile edge of the statement is malformed", check=FORM_CHECK)
    return Statement(**{_FIELDS[key].name: value for key, value in content.items()})
