"""Which web pages may open a conversation."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from ditto_avatar.server.origin import may_connect

from .conftest import Server, ServeWith, Socket


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:7136"),
        ("http://localhost:7136", "localhost:7136"),
        ("http://LocalHost:7136", "localhost:7136"),
        ("http://example.org", "example.org"),
        ("http://example.org", "example.org:80"),
        ("https://example.org", "example.org:443"),
        ("https://example.org:443", "example.org"),
        ("http://[::1]:7136", "[::1]:7136"),
    ],
)
def test_programs_and_the_servers_own_page_may_connect(origin: str | None, host: str) -> None:
    assert may_connect(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:7136"),
        ("http://localhost", "localhost:7136"),
        ("http://localhost:7137", "localhost:7136"),
        ("http://localhost:7136.evil.example", "localhost:7136"),
        ("http://localhost:7136@evil.example", "localhost:7136"),
        ("https://example.org", "example.org:80"),
        ("http://127.0.0.1:7136", "localhost:7136"),
        ("null", "localhost:7136"),
        ("", "localhost:7136"),
        ("", ""),
        ("file://", ""),
        ("http://localhost:port", "localhost:7136"),
        ("http://localhost:7136", "localhost:99999"),
        ("http://localhost:7136", None),
    ],
)
def test_other_pages_may_not(origin: str, host: str | None) -> None:
    assert not may_connect(origin, host)


def test_further_origins_can_be_allowed_with_their_scheme() -> None:
    allowed = "https://shop.example, http://dev.example:3000 ,"
    assert may_connect("https://shop.example:443", "avatar.example", allowed)
    assert may_connect("http://dev.example:3000", "avatar.example", allowed)
    assert not may_connect("http://shop.example", "avatar.example", allowed)
    assert not may_connect("null", "avatar.example", allowed)


async def test_a_foreign_page_is_refused_before_anything_is_said(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{server.port}/ws", origin=_origin("evil.example")):
            pass
    assert refused.value.response.status_code == 403


async def test_the_own_page_and_an_allowed_one_are_welcome(serve: ServeWith) -> None:
    async with serve(allowed_origins="http://shop.example") as server:
        for host in (f"127.0.0.1:{server.port}", "shop.example"):
            url = f"ws://127.0.0.1:{server.port}/ws"
            async with connect(url, origin=_origin(host)) as raw:
                client = Socket(raw)
                await client.send(type="hello")
                assert (await client.next())["type"] == "session.ready"


def _origin(host: str) -> Origin:
    return Origin(f"http://{host}")
