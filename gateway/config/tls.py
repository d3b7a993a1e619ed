"""The tables of DICOM TLS (PS3.15 B.12): `[tls]` and `destination.tls`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gateway.config.nodes import Fingerprint
from gateway.config.values import FilePath, Port, Table


class TlsIdentity(Table):
    """Our certificate with its key, and the authorities that we trust: PEM files."""

    # Ours, with intermediate ones after it.
    certificate: FilePath | None = None
    # Its private key, mode 0600.
    key: FilePath | None = None
    # Authorities that the other side's certificate must come from, or single certificates.
    ca: FilePath | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together (give both or none)")
        return self


class TlsSettings(TlsIdentity):
    """The TLS port, open when there is a certificate. With `ca` every caller must show a certificate."""

    port: Port = 2762
    # Whether listener.port, without TLS, is open as well.
    plain: bool = True

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if not self.plain and self.certificate is None:
            raise ValueError("plain = false, but there is no certificate: no port would be open")
        return self


class ClientTlsSettings(TlsIdentity):
    """TLS towards a destination. Without `ca` and `fingerprint` we trust the system's authorities."""

    # SHA-256 of the one certificate that is trusted.
    fingerprint: Fingerprint | None = None
    # Whether the name is compared with the certificate, unless only the fingerprint counts.
    check_hostname: bool = True
    # The name that is compared; None: the host.
    server_name: str | None = Field(default=None, min_length=1)
