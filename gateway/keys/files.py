"""Key files: PEM, with PKCS #8 for private keys (encrypted or not) and SubjectPublicKeyInfo for public ones.

See RFC 5958, RFC 5280 and RFC 8410. A private key is read only when its file is closed to everybody else, and only in a
process that can't be dumped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import KeyFileError
from gateway.keys.access import check_closed_for_writing, check_folder, read, read_passphrases, read_private
from gateway.keys.identity import is_recipient
from gateway.keys.roles import (
    HeldOpeningKey,
    HeldSigningKey,
    Recipient,
)
from gateway.keys.trust import (
    TrustedSigner,
    TrustedSigners,
    check_no_orphans,
    validity_of,
)
from gateway.runtime.core_dumps import forbid_dumps

PUBLIC_SUFFIXES = frozenset({".pub", ".pem"})
PRIVATE_SUFFIXES = frozenset({".key", ".pem"})
PASSPHRASE, PASSPHRASE_FILE = "SEALGATE_KEYS_PASSPHRASE", "SEALGATE_KEYS_PASSPHRASE_FILE"
# The file of each role, as `sealgate keygen` names it.
PRIVATE_FILES = {"signer": "signer.key", "recipient_key": "recipient.key"}
_OF_ONE_KEY = "SEALGATE_KEYS_{}_PASSPHRASE"
RSA_BITS_MIN = 2048
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


@dataclass(frozen=True)
class Passphrases:
    """Where passphrases come from. None is read before an encrypted key needs it.

    file: of mode 0600, with one passphrase in each line; each of them is tried.
    environment: variables that may hold passphrases.
    """

    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def candidates(self, role: str) -> Iterator[bytes]:
        """The passphrases to try, in order.

        role: `signer`, `recipient_key` or `standard_signature`.
        Raises KeyFileError when the file can't be read, or is open to others.
        """
        for variable in (_OF_ONE_KEY.format(role.upper()), PASSPHRASE):
            if self.environment.get(variable):
                yield self.environment[variable].encode()
        path = self.environment.get(PASSPHRASE_FILE)
        if self.file or path:
            yield from read_passphrases(self.file or Path(str(path)))


@dataclass(frozen=True)
class KeyFiles:
    """The key provider that is used when no other is configured: keys in files, held in memory."""

    passphrases: Passphrases = field(default_factory=Passphrases)

    def signing_key(self, reference: Path) -> HeldSigningKey:
        """The key of a file.

        Raises KeyFileError when the file holds no Ed25519 key that can be read safely.
        """
        key = self._private_key(reference, "signer")
        if not isinstance(key, Ed25519PrivateKey):
            recipients = _is_recipient_private(key)
            what = "a recipient's key; the signer's is wanted" if recipients else "not an Ed25519 private key"
            raise KeyFileError(
                f"{reference} is {what}", hint="Give the signer.key that `sealgate keygen` wrote."
            )
        return HeldSigningKey(key)

    def opening_keys(self, reference: Path) -> tuple[HeldOpeningKey, ...]:
        """The key of a file, or the keys of the `*.key` and `*.pem` files of a folder.

        In a folder, keys of other kinds are ignored, because signer.key is usually in the folder of recipient.key.

        Raises KeyFileError when there is no X25519 or P-256 key that can be read safely.
        """
        if not reference.is_dir():
            key = self._private_key(reference, "recipient_key")
            if not _is_recipient_private(key):
                signers = isinstance(key, Ed25519PrivateKey)
                what = (
                    "a signer's key; the recipient's is wanted"
                    if signers
                    else "not an X25519 or P-256 private key"
                )
                raise KeyFileError(
                    f"{reference} is {what}", hint="Give the recipient.key that `sealgate keygen` wrote."
                )
            return (HeldOpeningKey(key),)  # type: ignore[arg-type]  # narrowed by the line above
        check_folder(reference, forbidden=0o022)
        files = sorted(
            path for path in reference.iterdir() if path.suffix in PRIVATE_SUFFIXES and path.is_file()
        )
        private = [self._private_key(path, "recipient_key") for path in files if _holds_private(path)]
        held = tuple(HeldOpeningKey(key) for key in private if _is_recipient_private(key))  # type: ignore[arg-type]
        if not held:
            raise KeyFileError(
                f"no X25519 or P-256 private key in {reference}",
                hint="Put the recipient.key files there, the present one and those of older records.",
            )
        return held

    def private_key(self, path: Path) -> HeldSigningKey | HeldOpeningKey:
        """The key of a file, whatever its role.

        Raises KeyFileError when the file holds no key of either role that can be read safely.
        """
        key = self._private_key(path, "signer")
        if isinstance(key, Ed25519PrivateKey):
            return HeldSigningKey(key)
        if _is_recipient_private(key):
            return HeldOpeningKey(key)  # type: ignore[arg-type]  # narrowed by the line above
        raise KeyFileError(
            f"{path} is a private key of no use here", hint="Give a file of `sealgate keygen`."
        )

    def certified_key(self, path: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        """The key of a file that an X.509 certificate is issued for.

        Raises KeyFileError when the file holds no RSA key of 2048 bits or more, and no P-256 key, that can be read
        safely.
        """
        key = self._private_key(path, "standard_signature")
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_BITS_MIN:
            return key
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise KeyFileError(
            f"{path} is neither an RSA key of {RSA_BITS_MIN} bits or more nor a P-256 key",
            hint="Make one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072.",
        )

    def _private_key(self, path: Path, role: str) -> object:
        forbid_dumps()
        check_is_private(read(path), path, PRIVATE_FILES.get(role, "a .key file"))
        content = read_private(path)
        try:
            return serialization.load_pem_private_key(content, password=None)
        except TypeError:
            # The key is encrypted.
            return self._decrypted(content, path, role)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path} is not a private key in PEM", hint="Give a .key file.") from error

    def _decrypted(self, content: bytes, path: Path, role: str) -> object:
        tried = False
        for passphrase in self.passphrases.candidates(role):
            tried = True
            try:
                return serialization.load_pem_private_key(content, password=passphrase)
            except ValueError:
                # This passphrase is wrong; another may follow.
                continue
            except UnsupportedAlgorithm as error:
                raise KeyFileError(
                    f"{path} is encrypted in a way that is not supported",
                    hint="Use PKCS #8 with AES (openssl pkcs8 -topk8).",
                ) from error
        raise KeyFileError(
            f"no passphrase given opens {path}"
            if tried
            else f"{path} is encrypted and no passphrase is given",
            hint=f"Set {PASSPHRASE_FILE}, {PASSPHRASE} or {_OF_ONE_KEY.format(role.upper())} in the environment.",
        )


def load_recipient(path: Path) -> Recipient:
    """The public key to which records are encrypted.

    Raises KeyFileError when the file holds no X25519 or P-256 public key.
    """
    key = public_key(read(path), path, wanted="recipient.pub")
    if not is_recipient(key):
        signers = isinstance(key, Ed25519PublicKey)
        what = "a signer's key; the recipient's is wanted" if signers else "not an X25519 or P-256 public key"
        raise KeyFileError(f"{path} is {what}", hint="Give the recipient.pub that `sealgate keygen` wrote.")
    return Recipient(key)  # type: ignore[arg-type]  # narrowed by the line above


def load_trusted_signers(path: Path) -> TrustedSigners:
    """All Ed25519 public keys of a file, or of the `*.pub` and `*.pem` files of a folder.

    A file may hold several PEM blocks. Each key has the validity that a TOML file beside it states
    (`gateway.keys.trust`). Public keys of other kinds are ignored, because recipient.pub is usually in the folder of
    signer.pub.

    Raises KeyFileError when there is no Ed25519 key at all, or when everybody may write there.
    """
    if path.is_dir():
        check_folder(path, forbidden=0o002)
        check_no_orphans(path)
        files = sorted(file for file in path.iterdir() if file.suffix in PUBLIC_SUFFIXES and file.is_file())
    else:
        files = [path]
    signers: list[TrustedSigner] = []
    for file in files:
        keys = [key for key in public_keys(file, wanted="signer.pub") if isinstance(key, Ed25519PublicKey)]
        if keys:
            check_closed_for_writing(file)
            validity = validity_of(file)
            signers += [TrustedSigner(key, validity) for key in keys]
    if not signers:
        raise KeyFileError(
            f"no Ed25519 public key in {path}",
            hint="Give a signer.pub, or a folder that holds the *.pub files of the signers you believe.",
        )
    return TrustedSigners(signers)


def public_keys(path: Path, *, wanted: str = "a .pub file") -> list[object]:
    """Every public key of a file, whatever its kind.

    wanted: for the message of an error.
    Raises KeyFileError when the file can't be read, or holds something else.
    """
    return [public_key(block, path, wanted=wanted) for block in _PEM.findall(read(path)) or [b""]]


def public_key(pem: bytes, path: Path, *, wanted: str = "a .pub file") -> object:
    """The public key in a PEM block.

    path, wanted: for the message of an error.
    Raises KeyFileError when the block is not a public key.
    """
    if b"PRIVATE KEY-----" in pem:
        raise KeyFileError(
            f"{path} is a private key; the public one is wanted ({wanted})", hint=f"Give {wanted}."
        )
    try:
        return serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is not a public key in PEM", hint="Give a .pub file.") from error


def check_is_private(content: bytes, path: Path, wanted: str) -> None:
    """Raises KeyFileError for a public key: it is not to be closed to others, but to be exchanged."""
    if b"PUBLIC KEY-----" in content and b"PRIVATE KEY-----" not in content:
        raise KeyFileError(
            f"{path} is a public key; the private one is wanted ({wanted})", hint=f"Give {wanted}."
        )


def _is_recipient_private(key: object) -> bool:
    return isinstance(key, x25519.X25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    )


def _holds_private(path: Path) -> bool:
    """A *.pem file may hold a public key or a certificate as well."""
    return b"PRIVATE KEY-----" in read(path)
