"""Find a visitor's address as limits count it, behind the proxies that are trusted."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ditto_avatar.errors import InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A provider gives every home a network of this size; one home is one visitor.
_HOME_PREFIX = 64


def group(host: str) -> str:
    """Name the group of addresses that share one allowance: an IPv4 address by itself, an IPv6
    address with its /64. Anything that is no address stays as it is."""
    address = parse(host)
    if address is None:
        return host
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _HOME_PREFIX), strict=False))


def parse(host: str) -> Address | None:
    """Read an address; an IPv4 address that is written as IPv6 (``::ffff:192.0.2.1``) is IPv4.
    None for anything else."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The addresses whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def read(cls, listed: str) -> TrustedProxies:
        """Read addresses and networks, separated by commas. Raises `InvalidInput`."""
        return cls(tuple(_network(name) for name in map(str.strip, listed.split(",")) if name))

    def __contains__(self, host: str) -> bool:
        address = parse(host)
        if address is None:
            return False
        return any(address in network for network in self.networks)

    def visitor(self, peer: str, forwarded: str) -> str:
        """Find the address of the visitor behind `peer`. `forwarded` is ``X-Forwarded-For``:
        each proxy appends the address that it was called from, so the visitor is the last one
        that is no trusted proxy. What stands before it was written by the visitor."""
        visitor = peer
        for hop in reversed(forwarded.split(",")):
            address = _hop(hop)
            if visitor not in self or address is None:
                break
            visitor = str(address)
        return visitor


def _network(name: str) -> Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError as error:
        raise InvalidInput(
            "DITTO_TRUSTED_PROXIES: expected addresses or networks as 10.0.0.0/8, separated by "
            f"commas, came {name[:64]!r}."
        ) from error


def _hop(text: str) -> Address | None:
    """Read one entry: an address, with a port where the proxy adds one."""
    hop = text.strip()
    if hop.startswith("["):
        return parse(hop[1:].partition("]")[0])
    if hop.count(":") == 1:
        return parse(hop.partition(":")[0])
    return parse(hop)
