"""TLS after PS3.15 B.12 (BCP 195, RFC 8996 and 9325): how OpenSSL is set up from the tables of the configuration.

TLS 1.2 and 1.3, nothing older; of TLS 1.2 only the suites that RFC 9325 4.2 recommends.
"""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import Config
from gateway.config.tls import ClientTlsSettings, TlsIdentity
from gateway.errors import KeyFileError
from gateway.keys.access import read_private

# RFC 9325 4.2.1. The suites of TLS 1.3 (RFC 8446 B.4) are all good and stay as OpenSSL has them.
SUITES_OF_1_2 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)


@dataclass(frozen=True)
class Certificate:
    """What people want to know about a certificate of ours.

    fingerprint: SHA-256, hexadecimal.
    not_after: when it expires, UTC.
    """

    fingerprint: str
    not_after: datetime

    @classmethod
    def read(cls, path: Path) -> Certificate:
        """The first certificate of a PEM file. Raises KeyFileError."""
        try:
            first = x509.load_pem_x509_certificates(path.read_bytes())[0]
        except OSError as error:
            raise KeyFileError(f"can't read the certificate {path}: {error.strerror}") from error
        except ValueError as error:
            raise KeyFileError(
                f"{path} is not a certificate in PEM", hint="Convert it with openssl x509."
            ) from error
        return cls(hashlib.sha256(first.public_bytes(Encoding.DER)).hexdigest(), first.not_valid_after_utc)


def server_context(table: TlsIdentity) -> ssl.SSLContext:
    """The context of a port that we listen on. Raises KeyFileError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    # A ticket would be data before the peer asked for anything.
    context.num_tickets = 0
    _show(context, table)
    if table.ca is not None:
        _trust(context, table.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def renew(context: ssl.SSLContext, table: TlsIdentity) -> None:
    """Read the files of a port again, for new connections. Raises KeyFileError, and then nothing has changed."""
    server_context(table)
    _show(context, table)


def client_context(table: ClientTlsSettings) -> ClientContext:
    """The context of associations to one destination. Raises KeyFileError."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    _show(context, table)
    context.pinned = table.fingerprint
    context.check_hostname = table.check_hostname and (table.ca is not None or table.fingerprint is None)
    if table.ca is not None:
        _trust(context, table.ca)
    elif table.fingerprint is not None:
        # The fingerprint, which the handshake compares, is enough.
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_default_certs()
    return context


class PinnedSocket(ssl.SSLSocket):
    """Compares the fingerprint of the peer's certificate before the handshake counts as done."""

    def do_handshake(self, block: bool = False) -> None:
        """Raises OSError; ssl.SSLError is one. The context keeps the reason, in words for people."""
        context = cast(ClientContext, self.context)
        context.problem = None
        try:
            super().do_handshake(block)
            fingerprint = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
            if context.pinned not in (None, fingerprint):
                raise ssl.SSLCertVerificationError(
                    f"it shows a certificate with the fingerprint {fingerprint}"
                )
        except ssl.SSLCertVerificationError as error:
            context.problem = getattr(error, "verify_message", None) or str(error.args[-1])
            raise
        except OSError as error:
            context.problem = str(getattr(error, "reason", None) or type(error).__name__)
            raise


class ClientContext(ssl.SSLContext):
    """A context that knows the fingerprint of the one certificate it trusts.

    pinned: SHA-256 of that certificate, hexadecimal; None: any certificate of a trusted authority.
    problem: why the last handshake failed, None when it did not.
    """

    sslsocket_class = PinnedSocket
    pinned: str | None = None
    problem: str | None = None


def _restrict(context: ssl.SSLContext) -> None:
    """Allow only what BCP 195 recommends."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(SUITES_OF_1_2))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _show(context: ssl.SSLContext, table: TlsIdentity) -> None:
    """Show our certificate to the other side, where there is one. Raises KeyFileError."""
    if table.certificate is None or table.key is None:
        return
    Certificate.read(table.certificate)
    if b"ENCRYPTED" in read_private(table.key):
        raise KeyFileError(
            f"the TLS key {table.key} is encrypted",
            hint="Decrypt it (openssl pkey) into a file of mode 0600.",
        )
    try:
        context.load_cert_chain(table.certificate, table.key)
    except (ssl.SSLError, OSError) as error:
        raise KeyFileError(
            f"{table.key} is not the private key of {table.certificate}, or not in PEM",
            hint="Compare their public keys: openssl x509 -pubkey, openssl pkey -pubout.",
        ) from error


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    """Trust the authorities of a PEM file. Raises KeyFileError."""
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise KeyFileError(
            f"can't read certificates of authorities from {ca}", hint="Give a PEM file with one or several."
        ) from error


def own_certificates(config: Config) -> dict[str, Certificate]:
    """Our certificates: `listener`, `http`, `destination NAME`, and `standard signature`.

    Reads every file of TLS. Raises KeyFileError.
    """
    certificates: dict[str, Certificate] = {}
    if config.tls.certificate is not None:
        server_context(config.tls)
        certificates["listener"] = Certificate.read(config.tls.certificate)
    if config.http.tls is not None and config.http.tls.certificate is not None:
        server_context(config.http.tls)
        certificates["http"] = Certificate.read(config.http.tls.certificate)
    if config.seal.standard_signature is not None:
        # Where it can't be read, objects wait to be sealed, and modalities are served meanwhile.
        with suppress(KeyFileError):
            certificates["standard signature"] = Certificate.read(config.seal.standard_signature.certificate)
    for destination in config.destination:
        if destination.tls is not None:
            client_context(destination.tls)
            if destination.tls.certificate is not None:
                certificates[f"destination {destination.name}"] = Certificate.read(
                    destination.tls.certificate
                )
    return certificates


class Certificates:
    """The certificates in force. A new association gets those that were read last; open ones keep theirs."""

    def __init__(self, config: Config) -> None:
        """Raises KeyFileError."""
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Read all files again. Raises KeyFileError, and then nothing has changed."""
        certificates = own_certificates(config)
        self._server = server_context(config.tls) if config.tls.certificate is not None else None
        self._own = certificates

    def server(self) -> ssl.SSLContext:
        """The context of the TLS port. Only where [tls] has a certificate."""
        assert self._server is not None
        return self._server

    def seconds_left(self) -> dict[str, float]:
        """Seconds until each certificate of ours expires, negative after that. By the names of `own_certificates`."""
        now = datetime.now(UTC)
        return {
            name: (certificate.not_after - now).total_seconds() for name, certificate in self._own.items()
        }
