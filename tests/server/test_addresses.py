"""Who asks: groups of addresses, and proxies that speak for others."""

from __future__ import annotations

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.addresses import TrustedProxies, group

PROXIES = TrustedProxies.read("127.0.0.1, 10.0.0.0/8,fd00::/8")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_addresses_of_one_home_count_together(host: str, expected: str) -> None:
    assert group(host) == expected


def test_two_networks_count_apart() -> None:
    assert group("2001:db8:1:2::1") != group("2001:db8:1:3::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        # What a visitor writes by itself stands in front of what the proxy adds.
        ("127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("127.0.0.1", "10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("127.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7, nonsense", "127.0.0.1"),
        ("127.0.0.1", "nonsense, 192.0.2.7", "192.0.2.7"),
        ("::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("fd00::1", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
    ],
)
def test_the_visitor_is_the_last_that_is_no_proxy(peer: str, forwarded: str, visitor: str) -> None:
    assert PROXIES.visitor(peer, forwarded) == visitor


def test_nobody_is_trusted_by_default() -> None:
    assert TrustedProxies.read("").visitor("127.0.0.1", "192.0.2.7") == "127.0.0.1"


def test_a_proxy_that_is_no_address_is_told() -> None:
    with pytest.raises(InvalidInput, match=r"DITTO_TRUSTED_PROXIES.*'nginx'"):
        TrustedProxies.read("10.0.0.1, nginx")
