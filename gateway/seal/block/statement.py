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

# They keep anyone from having the key sign one thing that can pass for another.
_PREFIXES = {1: b"sealgate statement v1\0", 2: b"sealgate statement v2\0"}
# Of new statements; older ones are read for ever.
VERSION = 2
# Of mean and deviation, and of each window.
LEVEL_BYTES = 16
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
    # The header of an object without integer pixel data.
    DATASET = "dataset"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What the gateway vouches for; FORMAT.md, "Statement", explains the fields.

    The keys of the CBOR map are the numbers in the metadata. Empty values are left out of the map. Version 1 has
    header_digests and no entry from 23 on; version 2 the other way round.
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
    header_digests: dict[int, bytes] = field(default_factory=dict, metadata={"key": 10})
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
    header_hash: bytes = field(default=b"", metadata={"key": 23, "length": 32})
    received_hash: bytes = field(default=b"", metadata={"key": 24, "length": 32})
    likeness: bytes = field(default=b"", metadata={"key": 25, "length": 8})
    decoded_digest: bytes = field(default=b"", metadata={"key": 26, "length": 32})
    levels: bytes = field(default=b"", metadata={"key": 27})

    def names_payload(self, payload: bytes) -> bool:
        """Whether this payload is the one that was hidden in the pixels."""
        return self.payload_hash == blake3(payload).digest()


_FIELDS = {entry.metadata["key"]: entry for entry in fields(Statement)}
_COMMON = frozenset({1, 2, 3, 4, 5, 8, 9, 11, 12})
_REQUIRED = {1: _COMMON | {10}, 2: _COMMON | {23}}
_ALLOWED = {
    1: frozenset(key for key in _FIELDS if key < 23),
    2: frozenset(key for key in _FIELDS if key != 10),
}
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
    required = _REQUIRED[statement.version]
    kept = {key: value for key, value in content.items() if key in required or value}
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
    """The signature of a new statement, 64 bytes: Ed25519 (RFC 8032) over a prefix and the encoded statement."""
    return signer.sign(_PREFIXES[VERSION] + encoded)


def check_signature(encoded: bytes, signature: bytes, key: Ed25519PublicKey, version: int) -> None:
    """Raises SealBroken when the signature was not made with the private key of `key`.

    version: of the statement.
    """
    try:
        key.verify(signature, _PREFIXES[version] + encoded)
    except InvalidSignature as error:
        raise SealBroken("the signature does not match the statement", check=SIGNATURE_CHECK) from error


def _checked(content: Any) -> Statement:
    version = content.get(1) if isinstance(content, dict) else None
    if type(version) is not int or version not in _REQUIRED:
        raise SealBroken("the statement has an unknown version", check=FORM_CHECK)
    if not _REQUIRED[version] <= content.keys() <= _ALLOWED[version]:
        raise SealBroken("the statement lacks entries or has unknown ones", check=FORM_CHECK)
    for key, value in content.items():
        entry = _FIELDS[key]
        length = entry.metadata.get("length")
        if type(value) is not _TYPES[str(entry.type)] or (
            isinstance(value, bytes) and length is not None and len(value) != length
        ):
            raise SealBroken(f"entry {key} of the statement is malformed", check=FORM_CHECK)
    digests = content.get(10, {})
    if not all(
        type(tag) is int and type(value) is bytes and len(value) == 8 for tag, value in digests.items()
    ):
        raise SealBroken("the header digests of the statement are malformed", check=FORM_CHECK)
    if not all(type(name) is str and type(value) is int for name, value in content.get(18, {}).items()):
        raise SealBroken("the codec hint of the statement is malformed", check=FORM_CHECK)
    if content[2] not in {Level.FULL, Level.DIGEST} or content[4] not in set(Domain):
        raise SealBroken("the statement names an unknown level or domain", check=FORM_CHECK)
    if 26 in content and content[4] != Domain.FRAGMENTS:
        raise SealBroken("only fragments have a digest of what they decode to", check=FORM_CHECK)
    if len(content.get(27, b"")) % LEVEL_BYTES:
        raise SealBroken("the levels of the statement are malformed", check=FORM_CHECK)
    tiled = content[4] == Domain.PIXELS or 26 in content
    if content.get(19, 0) not in (TILE_EDGES if tiled else {0}):
        raise SealBroken("the tile edge of the statement is malformed", check=FORM_CHECK)
    return Statement(**{_FIELDS[key].name: value for key, value in content.items()})
