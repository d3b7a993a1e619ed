"""The tables of DICOM TLS (PS3.15 B.12): `[tls]` and `destination.tls`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gateway.config.nodes import Fingerprint
from gateway.config.values import FilePath, Port, Table


class TlsIdentity(Table):
    """A certificate with its key, and whom we believe: PEM files."""

    certificate: FilePath | None = None  # ours, with intermediate ones after it
    key: FilePath | None = None  # its private key, mode 0600
    ca: FilePath | None = None  # authorities (or single certificates) that the other side's must come from

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together (give both or none)")
        return self


class TlsSettings(TlsIdentity):
    """The TLS port; it is open when there is a certificate. With `ca` every caller must show a certificate."""

    port: Port = 2762
    plain: bool = True  # whether listener.port, without TLS, is open as well

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if not self.plain and self.certificate is None:
            raise ValueError("plain = false, but there is no certificate: no port would be open")
        return self


class ClientTlsSettings(TlsIdentity):
    """TLS towards a destination. Without `ca` and `fingerprint`, the system's authorities are believed."""

    fingerprint: Fingerprint | None = None  # SHA-256 of the one certificate that is believed
    check_hostname: bool = True  # compared with the certificate, unless only the fingerprint counts
    server_name: str | None = Field(default=None, min_length=1)  # what it is compared with; None: the host
