"""DICOM TLS after PS3.15 B.12 (BCP 195, RFC 8996 and 9325): its tables, and what OpenSSL is told.

TLS 1.2 and 1.3, nothing older; of TLS 1.2 only the suites that RFC 9325 4.2 recommends.
"""

from __future__ import annotations

import hashlib
import ssl
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

# RFC 9325 4.2.1; those of TLS 1.3 (RFC 8446 B.4) are all good and stay as OpenSSL has them.
SUITES_OF_1_2 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)


@dataclass(frozen=True)
class Certificate:
    """What people want to know of a certificate of ours. fingerprint: SHA-256, hexadecimal."""

    fingerprint: str
    not_after: datetime

    @classmethod
    def read(cls, path: Path) -> Certificate:
        """The first of a PEM file. Raises KeyFileError."""
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
    """For the TLS port. Raises KeyFileError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.num_tickets = 0  # a ticket would be data before the peer asked for anything
    _show(context, table)
    if table.ca is not None:
        _believe(context, table.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def renew(context: ssl.SSLContext, table: TlsIdentity) -> None:
    """New connections are shown what the files hold now. Raises KeyFileError, and then nothing has changed."""
    server_context(table)
    _show(context, table)


def client_context(table: ClientTlsSettings) -> ClientContext:
    """For associations to one destination. Raises KeyFileError."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    _show(context, table)
    context.pinned = table.fingerprint
    context.check_hostname = table.check_hostname and (table.ca is not None or table.fingerprint is None)
    if table.ca is not None:
        _believe(context, table.ca)
    elif table.fingerprint is not None:
        context.verify_mode = ssl.CERT_NONE  # the fingerprint, compared in the handshake, says it all
    else:
        context.load_default_certs()
    return context


class PinnedSocket(ssl.SSLSocket):
    """Compares the fingerprint before the handshake counts as done."""

    def do_handshake(self, block: bool = False) -> None:
        """Raises OSError, of it ssl.SSLError; the context keeps the reason for people."""
        context = cast(ClientContext, self.context)
        context.problem = None
        try:
            super().do_handshake(block)
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
            if context.pinned not in (None, shown):
                raise ssl.SSLCertVerificationError(f"it shows a certificate with the fingerprint {shown}")
        except ssl.SSLCertVerificationError as error:
            context.problem = getattr(error, "verify_message", None) or str(error.args[-1])
            raise
        except OSError as error:
            context.problem = str(getattr(error, "reason", None) or type(error).__name__)
            raise


class ClientContext(ssl.SSLContext):
    """problem: why the last handshake failed, None when it did not."""

    sslsocket_class = PinnedSocket
    pinned: str | None = None
    problem: str | None = None


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(SUITES_OF_1_2))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _show(context: ssl.SSLContext, table: TlsIdentity) -> None:
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


def _believe(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise KeyFileError(
            f"can't read certificates of authorities from {ca}", hint="Give a PEM file with one or several."
        ) from error


def own_certificates(config: Config) -> dict[str, Certificate]:
    """What we show: `listener`, `http`, and destinations by name. Every file of TLS is read. Raises KeyFileError."""
    found: dict[str, Certificate] = {}
    if config.tls.certificate is not None:
        server_context(config.tls)
        found["listener"] = Certificate.read(config.tls.certificate)
    if config.http.tls is not None and config.http.tls.certificate is not None:
        server_context(config.http.tls)
        found["http"] = Certificate.read(config.http.tls.certificate)
    for destination in config.destination:
        if destination.tls is not None:
            client_context(destination.tls)
            if destination.tls.certificate is not None:
                found[f"destination {destination.name}"] = Certificate.read(destination.tls.certificate)
    return found


class Certificates:
    """A new association gets what was read last; those that are open keep theirs."""

    def __init__(self, config: Config) -> None:
        """Raises KeyFileError."""
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Raises KeyFileError, and then nothing has changed."""
        certificates = own_certificates(config)
        self._server = server_context(config.tls) if config.tls.certificate is not None else None
        self._own = certificates

    def server(self) -> ssl.SSLContext:
        """For the TLS port, which is open only if there is one."""
        assert self._server is not None
        return self._server

    def seconds_left(self) -> dict[str, float]:
        """Until each certificate of ours expires; negative after that."""
        now = datetime.now(UTC)
        return {name: (item.not_after - now).total_seconds() for name, item in self._own.items()}
