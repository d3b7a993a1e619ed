"""Keys as people compare them: role, id and fingerprint, but never the private key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import keys
from gateway.commands.common.printing import Printer
from gateway.errors import KeyFileError


@dataclass(frozen=True)
class ShownKey:
    """What is shown of one key.

    path: of its file.
    role: recipient or signer.
    algorithm: Ed25519, X25519 or P-256.
    key_id: in hex, as in objects and logs.
    fingerprint: six groups of five digits.
    private: whether the file holds the private key.
    """

    path: Path
    role: str
    algorithm: str
    key_id: str
    fingerprint: str
    private: bool

    def say(self, printer: Printer) -> None:
        """Print this key."""
        line = {
            "path": str(self.path),
            "role": self.role,
            "algorithm": self.algorithm,
            "key_id": self.key_id,
            "fingerprint": self.fingerprint,
            "private": self.private,
        }
        private = ", private" if self.private else ""
        text = f"{self.fingerprint}  {self.path} ({self.algorithm}{private}, id {self.key_id})"
        printer.outcome(line, self.role, text)


def of_file(path: Path) -> list[ShownKey]:
    """Every key of a PEM file.

    Raises KeyFileError when the file can't be read, or holds a private key that others can read.
    """
    private = b"PRIVATE KEY-----" in _read(path)
    public = [keys.KeyFiles().private_key(path).public] if private else keys.public_keys(path)
    return [_shown(path, key, private=private) for key in public]


def _shown(path: Path, key: object, *, private: bool) -> ShownKey:
    if isinstance(key, Ed25519PublicKey):
        return ShownKey(path, "signer", "Ed25519", keys.signer_id(key).hex(), keys.fingerprint(key), private)
    if keys.is_recipient(key):
        recipient = keys.Recipient(key)  # type: ignore[arg-type]  # narrowed by the line above
        algorithm = {"x25519": "X25519", "p256": "P-256"}[recipient.curve]
        return ShownKey(path, "recipient", algorithm, recipient.key_id.hex(), recipient.fingerprint, private)
    raise KeyFileError(f"{path} holds a key of no use here", hint="Give files that `sealgate keygen` wrote.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"can't read the key file {path}: {error.strerror}", hint="Check the path."
        ) from error
