from __future__ import annotations

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.transport.rtc.ice import IceServers, addresses, turn_credentials


def test_a_password_is_what_coturn_computes() -> None:
    # echo -n 1700000000:viewer | openssl dgst -sha1 -hmac secret -binary | base64
    user, password = turn_credentials("secret", "viewer", 1_700_000_000)
    assert user == "1700000000:viewer"
    assert password == "oM0zaUZqq3ijUierm/zT52Njhss="


def test_a_page_is_told_of_all_servers_with_a_password_that_ends() -> None:
    servers = IceServers(
        stun=["stun:a:3478"], turn=["turn:b:3478"], secret="s", ttl_s=60, wall=lambda: 1000.0
    )
    told = servers.told("me")
    assert told[0] == {"urls": ["stun:a:3478"]}
    assert told[1]["urls"] == ["turn:b:3478"]
    assert told[1]["username"] == "1060:me"
    assert told[1]["credential"]


def test_addresses_are_split_and_checked() -> None:
    assert addresses("stun:a:1, turn:b:2?transport=tcp", "X") == (
        "stun:a:1",
        "turn:b:2?transport=tcp",
    )
    assert addresses("", "X") == ()
    with pytest.raises(InvalidInput, match="DITTO_ICE"):
        addresses("https://a", "DITTO_ICE")
