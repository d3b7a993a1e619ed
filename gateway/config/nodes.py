"""The tables that name the DICOM peers and users that we admit: `[[node]]`, and `[users]`."""

from __future__ import annotations

import ipaddress
import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from gateway.config.values import AETitle, FilePath, Table, one_or_many
from gateway.dicom.uids import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)

Service = Literal["echo", "store", "commit", "report", "find", "move", "get"]
# The services of the way back, which need [retrieve].
RETRIEVING: frozenset[Service] = frozenset({"find", "move", "get"})
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
    """SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it, or without colons."""
    plain = value.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("a SHA-256 fingerprint has 64 hexadecimal digits")
    return plain


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The range of addresses that the text states, None when the text is something else."""
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

    # What logs and metrics call it.
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AETitle
    # Addresses, ranges of them, host names.
    hosts: tuple[Host, ...] = Field(min_length=1)
    services: tuple[Service, ...] = ("echo", "store", "commit")
    # Patterns of the SOP classes that it may store; empty: everything.
    sop_classes: tuple[str, ...] = ()
    # SHA-256 of the certificate that it must show.
    tls_fingerprint: Fingerprint | None = None
    # The destination that gets its reports of storage commitment.
    report_to: str | None = None

    _many = field_validator("hosts", "services", "sop_classes", mode="before")(one_or_many)

    def may(self, sop_class: str) -> bool:
        """Whether the node may use presentation contexts of this SOP class. What it stores is asked for again."""
        service = service_of(sop_class)
        if service == "commit":
            # Asking for commitment and reporting it use the same SOP class.
            may_ask = "commit" in self.services and self.report_to is not None
            return may_ask or "report" in self.services
        if service == "store":
            # Who retrieves by C-GET gets its objects on contexts of its own association.
            return self.may_store(sop_class) or "get" in self.services
        return service in self.services

    def may_store(self, sop_class: str) -> bool:
        """Whether the node may store objects of this SOP class."""
        return "store" in self.services and (
            not self.sop_classes or any(fnmatchcase(sop_class, pattern) for pattern in self.sop_classes)
        )


class UserSettings(Table):
    """User identity negotiation, PS3.7 D.3.3.7."""

    # Lines `name:hash` of `sealgate password`; None: identities are not looked at.
    file: FilePath | None = None
    # Refuse associations without name and password.
    required: bool = False

    @model_validator(mode="after")
    def _somebody_can_come(self) -> Self:
        if self.required and self.file is None:
            raise ValueError("required, but there is no users.file: nobody could associate (give it)")
        return self


_SERVICES: dict[str, Service] = {
    VERIFICATION: "echo",
    STORAGE_COMMITMENT: "commit",
    PATIENT_ROOT_FIND: "find",
    STUDY_ROOT_FIND: "find",
    PATIENT_ROOT_MOVE: "move",
    STUDY_ROOT_MOVE: "move",
    PATIENT_ROOT_GET: "get",
    STUDY_ROOT_GET: "get",
}


def service_of(sop_class: str) -> Service:
    """The service that a SOP class belongs to. Every class that belongs to no other is storage."""
    return _SERVICES.get(sop_class, "store")
