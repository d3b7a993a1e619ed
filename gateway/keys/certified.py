"""A key with an X.509 certificate, for signatures that a stranger can check (PS3.15 C.1), and trust in certificates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509 import verification

from gateway.errors import KeyFileError
from gateway.keys.access import check_closed_for_writing, read
from gateway.keys.files import RSA_BITS_MIN, KeyFiles, Passphrases

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_SHA256 = Prehashed(_HASHES["SHA256"])

# What `cryptography` raises for a damaged or strange certificate, at loading or at the first look into it.
CERTIFICATE_ERRORS = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

CertifiedKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, repr=False)
class CertifiedSigner:
    """An RSA or ECDSA P-256 key, and the certificate that says whose it is.

    chain: certificates between that one and its authority, for those who are asked about it; not part of a signature.
    """

    key: CertifiedKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def sign(self, digest: bytes) -> bytes:
        """The signature over a SHA-256 digest: PKCS #1 v1.5 (RFC 8017 8.2), or ECDSA in DER (RFC 3279 2.2.3)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(digest, padding.PKCS1v15(), _SHA256)
        return self.key.sign(digest, ec.ECDSA(_SHA256))

    @property
    def der(self) -> bytes:
        """The certificate, encoded."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def valid_at(self, moment: datetime) -> bool:
        """Whether the certificate is in force. moment: with its time zone."""
        return self.certificate.not_valid_before_utc <= moment <= self.certificate.not_valid_after_utc

    def __repr__(self) -> str:
        return f"CertifiedSigner({self.certificate.serial_number:x})"


def load_certified_signer(
    key: Path, certificate: Path, passphrases: Passphrases | None = None
) -> CertifiedSigner:
    """A private key with its certificate, both in PEM.

    certificate: the certificate of the key first, those of intermediate authorities after it.
    Raises KeyFileError when a file can't be read safely, the key is of another kind or too short, or the first
    certificate is of another key or not for signatures. An expired certificate is loaded.
    """
    private = KeyFiles(passphrases or Passphrases()).certified_key(key)
    first, *chain = load_certificates(certificate)
    if _public_bytes(first) != _spki(private.public_key()):
        raise KeyFileError(
            f"{key} is not the private key of {certificate}",
            hint="Compare their public keys: openssl x509 -pubkey, openssl pkey -pubout.",
        )
    if not _for_signatures(first):
        raise KeyFileError(
            f"{certificate} is not for signatures",
            hint="Ask for a certificate with the key usage digitalSignature or nonRepudiation.",
        )
    return CertifiedSigner(private, first, tuple(chain))


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM file, in order.

    Raises KeyFileError when there is none, or everybody may write there.
    """
    content = read(path)
    check_closed_for_writing(path)
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except CERTIFICATE_ERRORS as error:
        raise KeyFileError(
            f"{path} holds no certificate in PEM", hint="Convert it with openssl x509."
        ) from error


@dataclass(frozen=True)
class CertificateTrust:
    """Authorities, and single certificates, that are believed."""

    certificates: tuple[x509.Certificate, ...] = field(repr=False)

    def believes(self, certificate: x509.Certificate, moment: datetime) -> bool:
        """Whether a certificate is one of these, or comes from one of them, and was in force (RFC 5280 6).

        moment: of the signature, with its time zone. Revocation is not looked at.
        """
        try:
            if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
                return False
            if certificate in self.certificates or not self.certificates:
                return bool(self.certificates)
            self._verifier(moment).verify(certificate, [])
        except (verification.VerificationError, *CERTIFICATE_ERRORS):
            return False
        return True

    def _verifier(self, moment: datetime) -> verification.ClientVerifier:
        return (
            verification.PolicyBuilder()
            .store(self._store)
            .time(moment)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=verification.ExtensionPolicy.permit_all())
            .build_client_verifier()
        )

    @cached_property
    def _store(self) -> verification.Store:
        return verification.Store(list(self.certificates))


def signature_verifies(certificate: x509.Certificate, signature: bytes, digest: bytes, name: str) -> bool:
    """Whether a signature is of the key of this certificate.

    signature: as it is in a data element: one of ECDSA may have a byte of padding.
    digest, name: what was signed, and its algorithm: SHA256, SHA384 or SHA512.
    Raises UnsupportedAlgorithm when the key is neither RSA of 2048 bits nor on a curve of NIST.
    """
    algorithm = Prehashed(_HASHES[name])
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
            key.verify(signature, digest, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(unpadded(signature), digest, ec.ECDSA(algorithm))
        else:
            raise UnsupportedAlgorithm("the key is of another kind, or too short")
    except (InvalidSignature, ValueError):
        return False
    return True


def unpadded(signature: bytes) -> bytes:
    """A signature in DER without the byte that makes its length even; any other value as it is."""
    if (
        len(signature) > 2
        and signature[0] == 0x30
        and signature[1] < 0x80
        and signature[1] + 3 == len(signature)
    ):
        return signature[:-1]
    return signature


_AUTHORITY = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
)


def _for_signatures(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except CERTIFICATE_ERRORS:
        return False
    return usage.digital_signature or usage.content_commitment


def _public_bytes(certificate: x509.Certificate) -> bytes:
    try:
        return _spki(certificate.public_key())  # type: ignore[arg-type]  # every kind of key has these bytes
    except CERTIFICATE_ERRORS:
        return b""


def _spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
