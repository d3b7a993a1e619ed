"""How a gateway knows itself, and another one: objects must not go round in a circle and count as delivered.

Each gateway says in every association, as acceptor and as requestor, who it is: its Implementation Version Name
(PS3.7 D.3.3.2) ends with an id of its data folder. So it notices a destination that leads back to itself whatever lies
in between, such as another name, a forwarded port or a second address.
"""

from __future__ import annotations

import re
import socket

from gateway.config import Config, Destination
from gateway.config.nodes import Address
from gateway.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from gateway.dimse.admission import resolved

# With the id 16 characters, which is the most there is room for.
PREFIX = "SEALGATE_"
_NAME = re.compile(PREFIX + r"([a-z2-7]{7})")


def version_name(gateway_id: str) -> str:
    """The Implementation Version Name of the gateway with this id; without an id, that of any."""
    return PREFIX + gateway_id if gateway_id else IMPLEMENTATION_VERSION


def gateway_of(class_uid: object, name: object) -> str | None:
    """The id of the gateway that calls itself so in an association; None for any other program.

    class_uid, name: Implementation Class UID and Version Name; None where the peer gave none.
    """
    match = _NAME.fullmatch(str(name).strip())
    return match[1] if match and str(class_uid) == IMPLEMENTATION_CLASS_UID else None


def leads_here(destination: Destination, config: Config) -> str | None:
    """The key of the port of ours that a destination leads to, None when it leads elsewhere.

    It looks at addresses of this machine alone. What is forwarded to it is noticed when it is connected.
    """
    ports = {config.listener.port: "listener.port"} if config.tls.plain else {}
    if config.tls.certificate is not None:
        ports[config.tls.port] = "tls.port"
    if destination.port not in ports:
        return None
    addresses, listening = resolved(destination.host), resolved(config.listener.host)
    if any(address.is_unspecified for address in listening):
        ours = any(map(_is_local, addresses))
    else:
        ours = bool(addresses & listening)
    return ports[destination.port] if ours else None


def _is_local(address: Address) -> bool:
    """Whether it is an address of this machine: only to one of those can a socket be bound."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
