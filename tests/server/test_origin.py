"""Which web pages may open a conversation."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
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
    # A code and a reason, so that the page can say it and need not try again.
    assert await _turned_away(server, {"type": "hello"}) == (4403, "this page may not connect")
    assert "ditto_sessions 0.0" in (await server.http.get("/metrics")).text


async def test_a_foreign_page_cannot_come_back_to_a_session(server: Server) -> None:
    async with server.socket() as client:
        ready = await client.next()
        known = {"session": ready["session"], "token": ready["token"]}
        hello = {"type": "hello", "after": 0, **known}
        await _turned_away(server, hello, {"type": "say", "text": "Not mine to say."})
        await client.send(type="say", text="Hi.")
        assert (await client.until("turn.started"))["text"] == "Hi."


async def test_the_own_page_and_an_allowed_one_are_welcome(serve: ServeWith) -> None:
    async with serve(allowed_origins="http://shop.example") as server:
        for host in (f"127.0.0.1:{server.port}", "shop.example"):
            url = f"ws://127.0.0.1:{server.port}/ws"
            async with connect(url, origin=_origin(host)) as raw:
                client = Socket(raw)
                await client.send(type="hello")
                assert (await client.next())["type"] == "session.ready"


async def _turned_away(server: Server, *said: dict[str, Any]) -> tuple[int, str]:
    """Close code and reason for a foreign page that says this and hears nothing at all."""
    url = f"ws://127.0.0.1:{server.port}/ws"
    async with connect(url, origin=_origin("evil.example")) as raw:
        with suppress(ConnectionClosedError):
            for message in said:
                await raw.send(json.dumps(message))
        with pytest.raises(ConnectionClosedError) as refused:
            await raw.recv()  # what came before the end would be here
    closed = refused.value.rcvd
    assert closed is not None
    return closed.code, closed.reason


def _origin(host: str) -> Origin:
    return Origin(f"http://{host}")
