"""The tables that say who may talk DICOM to us: `[[node]]`, and `[users]` for user identity negotiation."""

from __future__ import annotations

import ipaddress
import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from gateway.config.values import AETitle, FilePath, Table
from gateway.dicom.uids import STORAGE_COMMITMENT, VERIFICATION

Service = Literal["echo", "store", "commit", "report"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")


def _host(value: str) -> str:
    """An address, a range of them (CIDR), or a host name."""
    if network_of(value) is None and (not _NAME.fullmatch(value) or re.fullmatch(r"[\d.]+", value)):
        raise ValueError(
            "neither an address nor a range (10.1.2.0/24, without bits behind the mask) nor a host name"
        )
    return value


def _fingerprint(value: str) -> str:
    """SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it or without colons."""
    plain = value.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("a SHA-256 fingerprint has 64 hexadecimal digits")
    return plain


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The range that a text states, None when it states none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


Host = Annotated[str, AfterValidator(_host)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class Node(Table):
    """A modality, archive or program that may open associations to us.

    Patterns are shell patterns (`*`, `?`).
    """

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AETitle
    hosts: tuple[Host, ...] = Field(min_length=1)  # addresses, ranges of them, host names
    services: tuple[Service, ...] = ("echo", "store", "commit")
    sop_classes: tuple[str, ...] = ()  # patterns of what it may store; none: everything
    tls_fingerprint: Fingerprint | None = None  # SHA-256 of the certificate that it must show
    report_to: str | None = None  # the destination that gets its reports of storage commitment

    @field_validator("hosts", "services", "sop_classes", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def may(self, sop_class: str) -> bool:
        """Whether a presentation context, or an object, of this SOP class is for this node."""
        service = service_of(sop_class)
        if service == "commit":  # asking for commitment, and telling us of it, use the same SOP class
            may_ask = "commit" in self.services and self.report_to is not None
            return may_ask or "report" in self.services
        return self.may_store(sop_class) if service == "store" else service in self.services

    def may_store(self, sop_class: str) -> bool:
        return "store" in self.services and (
            not self.sop_classes or any(fnmatchcase(sop_class, pattern) for pattern in self.sop_classes)
        )


class UserSettings(Table):
    """User identity negotiation, PS3.7 D.3.3.7."""

    file: FilePath | None = (
        None  # lines `name:hash` of `sealgate password`; None: identities are not looked at
    )
    required: bool = False  # refuse associations without name and password

    @model_validator(mode="after")
    def _somebody_can_come(self) -> Self:
        if self.required and self.file is None:
            raise ValueError("required, but there is no users.file: nobody could associate (give it)")
        return self


def service_of(sop_class: str) -> Service:
    """What a SOP class is used for here; all that is no other service is storage."""
    if sop_class == VERIFICATION:
        return "echo"
    return "commit" if sop_class == STORAGE_COMMITMENT else "store"
