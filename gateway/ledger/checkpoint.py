"""Checkpoints (C2SP tlog-checkpoint): size and root of the ledger, in a signed note (C2SP signed-note, Ed25519)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import LedgerBroken
from gateway.keys import Signer
from gateway.keys.identity import raw_public
from gateway.ledger.merkle import HASH_BYTES

# Every origin begins so. It keeps a key from signing a checkpoint that passes for a statement, or the other way round.
ORIGIN_PREFIX = "sealgate-ledger/"
# Of Ed25519 signatures in signed notes.
_ALGORITHM = b"\x01"
_KEY_ID_BYTES, _SIGNATURE_BYTES = 4, 64
# Of a note. A real one has some 250.
NOTE_BYTES_MAX = 16 << 10
_ORIGIN = re.compile(r"sealgate-ledger/[a-z0-9]{1,32}/[0-9a-f]{16}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True)
class Checkpoint:
    """What the ledger was at one moment.

    origin: names the ledger, and no other.
    size: entries.
    root: the Merkle tree hash of these entries, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """Raises LedgerBroken when it is not exactly the text of a checkpoint of a ledger of this kind."""
        try:
            origin, size, root, end = text.decode("ascii").split("\n")
            checkpoint = cls(origin, int(size), base64.b64decode(root, validate=True))
        except (ValueError, binascii.Error) as error:
            raise LedgerBroken("it is no checkpoint") from error
        if not _ORIGIN.fullmatch(origin) or not _SIZE.fullmatch(size) or len(checkpoint.root) != HASH_BYTES:
            raise LedgerBroken("it is no checkpoint")
        if end or checkpoint.text != text:
            raise LedgerBroken("it is no checkpoint")
        return checkpoint


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint and the signatures on it.

    note: the signed note, byte for byte.
    signatures: (key name, key id of 4 bytes, signature), as they stand there. Nothing is known of them before
        `signed_by`.
    """

    note: bytes
    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: bytes) -> SignedCheckpoint:
        """Raises LedgerBroken."""
        text, parted, lines = note.partition(b"\n\n")
        if len(note) > NOTE_BYTES_MAX or not parted or not lines.endswith(b"\n"):
            raise LedgerBroken("it is no signed note")
        signatures = []
        try:
            for line in lines.decode("utf-8")[:-1].split("\n"):
                form = _SIGNATURE_LINE.fullmatch(line)
                if form is None:
                    raise LedgerBroken("a signature of the note is malformed")
                value = base64.b64decode(form[2], validate=True)
                signatures.append((form[1], value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:]))
        except (UnicodeDecodeError, binascii.Error) as error:
            raise LedgerBroken("a signature of the note is malformed") from error
        return cls(note, Checkpoint.parse(text + b"\n"), tuple(signatures))

    def signed_by(self, public: Ed25519PublicKey) -> bool:
        """Whether one of the signatures is of this key."""
        name = self.checkpoint.origin
        for signer, identity, signature in self.signatures:
            if signer != name or identity != key_id(name, public) or len(signature) != _SIGNATURE_BYTES:
                continue
            try:
                public.verify(signature, self.checkpoint.text)
            except InvalidSignature:
                continue
            return True
        return False


def sign(text: bytes, signer: Signer) -> bytes:
    """The signed note of a checkpoint.

    text: of the checkpoint. Nothing else is signed.
    Raises LedgerBroken when it is none.
    Raises ResourceError when the key can't be reached now.
    """
    origin = Checkpoint.parse(text).origin
    value = base64.b64encode(key_id(origin, signer.public) + signer.sign(text)).decode()
    return text + f"\n— {origin} {value}\n".encode()


def key_id(name: str, public: Ed25519PublicKey) -> bytes:
    """4 bytes: the beginning of SHA-256 over name, newline, algorithm and key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ALGORITHM + raw_public(public)).digest()[:_KEY_ID_BYTES]


def verifier_key(name: str, public: Ed25519PublicKey) -> str:
    """The key as other programs for signed notes take it: `name+id+base64`."""
    encoded = base64.b64encode(_ALGORITHM + raw_public(public)).decode()
    return f"{name}+{key_id(name, public).hex()}+{encoded}"


def public_of(line: str) -> Ed25519PublicKey:
    """The key of a line that `verifier_key` made.

    Raises LedgerBroken.
    """
    try:
        name, identity, encoded = line.split("+", 2)
        value = base64.b64decode(encoded, validate=True)
        public = Ed25519PublicKey.from_public_bytes(value[1:])
    except (ValueError, binascii.Error) as error:
        raise LedgerBroken("a line is no key of signed notes") from error
    if value[:1] != _ALGORITHM or key_id(name, public).hex() != identity:
        raise LedgerBroken("a line is no key of signed notes")
    return public
