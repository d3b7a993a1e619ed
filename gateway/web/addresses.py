"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
# A household, or one machine that changes its address at will, has so many leading bits in common (RFC 6177).
IPV6_SITE_BITS = 64


def caller_address(peer: str, forwarded_for: Sequence[str], proxies: Sequence[Network]) -> str:
    """The address of the caller: that of the connection, or the one that a proxy of ours saw.

    peer: the other end of the connection.
    forwarded_for: the headers X-Forwarded-For. Callers write into them what they like, and each proxy appends the
        address it saw. So they are read from the end, and only as long as a proxy of ours wrote.
    proxies: ours.
    """
    named = [part.strip() for header in forwarded_for for part in header.split(",")]
    while named and _is_of(peer, proxies):
        before = named.pop()
        if _parsed(before) is None:
            break
        peer = before
    return peer


def site(address: str) -> str:
    """What is counted as one caller: an address, and of IPv6 the network in front of it."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_SITE_BITS), strict=False))
    return address


def _is_of(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in networks
    )


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address that came over an IPv6 socket is the IPv4 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
