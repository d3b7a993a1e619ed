"""Who may open an association: the decision, with a reason that an administrator understands.

Nothing here knows sockets or associations; `gateway.dimse.acceptor` asks for the decision and carries it out.
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
# How many passwords are checked at a time. Each check takes 64 MiB; many callers must not take all memory.
PASSWORDS_AT_ONCE = 2

# PS3.8 9.3.4: result (1 permanent, 2 transient), source (1 service user, 3 presentation), reason.
CALLED_UNKNOWN = (1, 1, 7)
CALLING_UNKNOWN = (1, 1, 3)
NO_REASON = (1, 1, 1)
LIMIT_EXCEEDED = (2, 3, 2)
# Kind of an identity, PS3.7 D.3.3.7.1.
NAME_AND_PASSWORD = 2


@dataclass(frozen=True)
class Refusal:
    """Why an association is refused.

    code: a word for metrics.
    answer: result, source and reason of PS3.8 9.3.4.
    problem: what is wrong, for the log.
    hint: what an administrator can do.
    """

    code: str
    answer: tuple[int, int, int]
    problem: str
    hint: str


@dataclass(frozen=True)
class AssociationRequest:
    """What is known of a peer that asks for an association.

    calling, called: AE titles.
    address: the IP address, as text.
    fingerprint: SHA-256 of its certificate, None without one.
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
    """The addresses of host names; each name is looked up again after a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, frozenset[Address]]] = {}

    def addresses(self, name: str) -> frozenset[Address]:
        """The addresses of a name; none for a name that does not resolve."""
        until, addresses = self._known.get(name, (0.0, frozenset()))
        if self._clock() >= until:
            addresses = resolved(name)
            self._known[name] = (self._clock() + NAMES_KEPT_S, addresses)
        return addresses


def resolved(name: str) -> frozenset[Address]:
    """The addresses of a host name or address; none for a name that does not resolve."""
    try:
        entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    # A name that can be none is a UnicodeError.
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(address_of(str(entry[4][0])) for entry in entries)


class AssociationPolicy:
    """Decides by the configuration. Methods are for several threads at once."""

    def __init__(self, config: Callable[[], Config], names: Names | None = None) -> None:
        """config: the configuration in force, asked for each association.

        names: looks up the host names of nodes.
        """
        self._config = config
        self._names = names or Names()
        self._checking = threading.BoundedSemaphore(PASSWORDS_AT_ONCE)

    def admit(self, request: AssociationRequest) -> Node | Refusal | None:
        """The node that asks; None for a stranger where `listener.accept = "any"`; or why it is refused."""
        config = self._config()
        if request.called not in config.called_ae_titles:
            return Refusal(
                "called-unknown",
                CALLED_UNKNOWN,
                f"no route and no listener has the AE title {request.called!r}",
                "Correct the called AE title at the sender, or add a route.",
            )
        titled = [node for node in config.node if node.ae_title == request.calling]
        placed = [node for node in titled if self._is_at(node, request.address)]
        proven = [node for node in placed if node.tls_fingerprint in (None, request.fingerprint)]
        if proven:
            return proven[0]
        if placed:
            return _not_proven(placed[0], request)
        if config.listener.accept == "any":
            return None
        if titled:
            return Refusal(
                "address-unknown",
                CALLING_UNKNOWN,
                f"node {titled[0].name} has the AE title {request.calling!r}, but not the address {request.address}",
                "Add the address to the node's hosts, if it is that node.",
            )
        return Refusal(
            "calling-unknown",
            CALLING_UNKNOWN,
            f"no node has the AE title {request.calling!r}",
            "Add a [[node]] with this AE title and address, or correct the AE title at the sender.",
        )

    def identify(self, identity: UserIdentity | None) -> str | Refusal:
        """The name of the user, empty without one, or why it is refused.

        The check of a password takes a tenth of a second.
        """
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


def _not_proven(node: Node, request: AssociationRequest) -> Refusal:
    if request.fingerprint is None:
        return Refusal(
            "certificate",
            CALLING_UNKNOWN,
            f"node {node.name} must show a certificate and came without",
            "Let it connect to the TLS port with its certificate, or remove node.tls_fingerprint.",
        )
    return Refusal(
        "certificate",
        CALLING_UNKNOWN,
        f"node {node.name} showed a certificate with another fingerprint: {request.fingerprint}",
        "If its certificate was replaced, correct node.tls_fingerprint.",
    )


def address_of(text: str) -> Address:
    """The address without its zone; IPv4 that is mapped into IPv6 becomes IPv4.

    Raises ValueError when the text is no address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
