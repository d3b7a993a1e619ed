"""Who may open an association, and what for: the decision, with a reason that an administrator understands.

Nothing here knows sockets or associations; `gateway.dimse.listener` asks and carries out.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config import Config
from gateway.config.nodes import Address, Node, network_of
from gateway.dimse import users
from gateway.dimse.users import UserIdentity
from gateway.errors import KeyFileError

NAMES_KEPT_S = 60.0
PASSWORDS_AT_ONCE = 2  # checked, 64 MiB each: many callers must not take all memory

# PS3.8 9.3.4: result (1 permanent, 2 transient), source (1 service user, 3 presentation), reason
CALLED_UNKNOWN = (1, 1, 7)
CALLING_UNKNOWN = (1, 1, 3)
NO_REASON = (1, 1, 1)
LIMIT_EXCEEDED = (2, 3, 2)
NAME_AND_PASSWORD = 2  # kind of an identity, PS3.7 D.3.3.7.1


@dataclass(frozen=True)
class Refusal:
    """Why an association is refused. code: a word for metrics. answer: result, source, reason of PS3.8 9.3.4."""

    code: str
    answer: tuple[int, int, int]
    problem: str
    hint: str


@dataclass(frozen=True)
class AssociationRequest:
    """What is known of who asks.

    address: text of the IP address. fingerprint: SHA-256 of its certificate, None without one.
    """

    calling: str
    called: str
    address: str
    fingerprint: str | None = None


_NO_USER = Refusal(
    "user",
    NO_REASON,
    "no user name with a password was given, and users.required asks for one",
    "Let the sender negotiate its user identity, or set users.required to false.",
)


class Names:
    """Addresses of host names, asked again after a minute. A name that does not resolve belongs to nobody."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, frozenset[Address]]] = {}

    def addresses(self, name: str) -> frozenset[Address]:
        until, found = self._known.get(name, (0.0, frozenset()))
        if self._clock() >= until:
            found = _resolved(name)
            self._known[name] = (self._clock() + NAMES_KEPT_S, found)
        return found


def _resolved(name: str) -> frozenset[Address]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(address_of(str(entry[4][0])) for entry in found)


class AssociationPolicy:
    """config: the configuration in force, asked for each association."""

    def __init__(self, config: Callable[[], Config], names: Names | None = None) -> None:
        self._config = config
        self._names = names or Names()
        self._checking = threading.BoundedSemaphore(PASSWORDS_AT_ONCE)

    def admit(self, caller: AssociationRequest) -> Node | Refusal | None:
        """The node that asks; None for a stranger where `listener.accept = "any"`; or why it is refused."""
        config = self._config()
        if caller.called not in config.called_ae_titles:
            return Refusal(
                "called-unknown",
                CALLED_UNKNOWN,
                f"no route and no listener has the AE title {caller.called!r}",
                "Correct the called AE title at the sender, or add a route.",
            )
        titled = [node for node in config.node if node.ae_title == caller.calling]
        placed = [node for node in titled if self._is_at(node, caller.address)]
        proven = [node for node in placed if node.tls_fingerprint in (None, caller.fingerprint)]
        if proven:
            return proven[0]
        if placed:
            return _not_proven(placed[0], caller)
        if config.listener.accept == "any":
            return None
        if titled:
            return Refusal(
                "address-unknown",
                CALLING_UNKNOWN,
                f"node {titled[0].name} has the AE title {caller.calling!r}, but not the address {caller.address}",
                "Add the address to the node's hosts, if it is that node.",
            )
        return Refusal(
            "calling-unknown",
            CALLING_UNKNOWN,
            f"no node has the AE title {caller.calling!r}",
            "Add a [[node]] with this AE title and address, or correct the AE title at the sender.",
        )

    def identify(self, identity: UserIdentity | None) -> str | Refusal:
        """The name of the user, empty without one, or why it is refused. Takes a tenth of a second for a password."""
        table = self._config().users
        if table.file is None:
            return ""
        if identity is None or identity.kind != NAME_AND_PASSWORD:
            return _NO_USER if table.required else ""
        try:
            known = users.read(table.file)
        except KeyFileError as error:
            return Refusal("user", NO_REASON, str(error), error.hint)
        with self._checking:
            right = users.is_right(known, identity)
        if not right:
            return Refusal(
                "user",
                NO_REASON,
                "the user name or its password is wrong",
                "Correct it at the sender, or add the user to users.file with `sealgate password`.",
            )
        return identity.name.decode()

    def _is_at(self, node: Node, address: str) -> bool:
        actual = address_of(address)
        for host in node.hosts:
            network = network_of(host)
            if actual in network if network is not None else actual in self._names.addresses(host):
                return True
        return False


def _not_proven(node: Node, caller: AssociationRequest) -> Refusal:
    if caller.fingerprint is None:
        return Refusal(
            "certificate",
            CALLING_UNKNOWN,
            f"node {node.name} must show a certificate and came without",
            "Let it connect to the TLS port with its certificate, or remove node.tls_fingerprint.",
        )
    return Refusal(
        "certificate",
        CALLING_UNKNOWN,
        f"node {node.name} showed a certificate with another fingerprint: {caller.fingerprint}",
        "If its certificate was replaced, correct node.tls_fingerprint.",
    )


def address_of(text: str) -> Address:
    """The address in its plain form: IPv4 inside IPv6 as IPv4, without a zone. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
