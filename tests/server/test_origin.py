"""Which web pages may open a conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Origin

from ditto_avatar.server.origin import is_served, may_connect

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


@pytest.mark.parametrize(
    "host",
    [
        None,
        "localhost",
        "localhost:7136",
        "LOCALHOST.",
        "studio.localhost:7136",
        "127.0.0.1:7136",
        "192.168.1.20",
        "[::1]:7136",
        "[fe80::1%25eth0]:7136",
        "avatar.example",
        "Avatar.Example:443",
        "a.example.org",
        "a.b.example.org",
    ],
)
def test_local_names_addresses_and_allowed_names_are_served(host: str | None) -> None:
    assert is_served(host, "avatar.example, *.example.org,")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:7136",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "notlocalhost",
        ".localhost",
        "example.org",
        "evilexample.org",
        "avatar.example.evil",
        "localhost@evil.example",
        "localhost:port",
        "127.0.0.1 evil.example",
    ],
)
def test_other_names_are_not_served(host: str) -> None:
    assert not is_served(host, "avatar.example, *.example.org,")


async def test_a_rebound_name_reaches_nothing(serve: ServeWith) -> None:
    async with serve(allowed_hosts="avatar.example") as server:
        evil = f"evil.example:{server.port}"
        rebound = {"Host": evil, "Origin": f"http://{evil}"}
        for method, path in (("GET", "/"), ("GET", "/api/avatars"), ("POST", "/api/sessions")):
            answer = await server.http.request(method, path, headers=rebound, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (421, "misdirected")
        code, reason = await _turned_away(server, {"type": "hello"}, host=evil, page=evil)
        assert code == 4403
        assert reason.startswith("This server does not answer to the name 'evil.example")
        allowed = await server.http.get("/", headers={"Host": "avatar.example"})
        assert allowed.status_code == 200
        assert "ditto_sessions 0.0" in (await server.http.get("/metrics")).text


async def test_a_foreign_page_cannot_change_anything_over_rest(serve: ServeWith) -> None:
    async with serve(allowed_origins="https://shop.example") as server:
        for origin, status in (
            ("http://evil.example", 403),
            ("null", 403),
            ("https://shop.example", 201),
            (f"http://127.0.0.1:{server.port}", 201),
            (None, 201),
        ):
            headers = {} if origin is None else {"Origin": origin}
            answer = await server.http.post("/api/sessions", json={}, headers=headers)
            assert answer.status_code == status


async def test_a_forwarded_address_counts_from_a_trusted_proxy_only(serve: ServeWith) -> None:
    async def open_from(server: Server, forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return (await server.http.post("/api/sessions", json={}, headers=headers)).status_code

    async with serve(sessions_per_minute=1) as server:
        spoofed = [await open_from(server, f"192.0.2.{number}") for number in range(3)]
    assert spoofed == [201, 429, 429]
    async with serve(sessions_per_minute=1, trusted_proxies="127.0.0.1") as server:
        told = [
            await open_from(server, forwarded)
            for forwarded in (
                "192.0.2.1",
                "192.0.2.2",
                "192.0.2.1",
                "198.51.100.9, 192.0.2.1",
                "2001:db8::1",
                "2001:db8::ffff",
            )
        ]
    assert told == [201, 201, 429, 429, 201, 429]


async def test_sockets_behind_a_trusted_proxy_count_for_their_visitors(serve: ServeWith) -> None:
    settings = {"max_connections_per_address": 2, "trusted_proxies": "127.0.0.1"}
    async with serve(**settings) as server, AsyncExitStack() as stack:
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            client = await stack.enter_async_context(_from(server, address))
            assert (await client.next())["type"] == "session.ready"
        async with _from(server, "192.0.2.1") as refused:
            with pytest.raises(ConnectionClosedError) as closed:
                await refused.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


@asynccontextmanager
async def _from(server: Server, address: str) -> AsyncIterator[Socket]:
    url = f"ws://127.0.0.1:{server.port}/ws"
    async with connect(url, additional_headers={"X-Forwarded-For": address}) as raw:
        client = Socket(raw)
        with suppress(ConnectionClosedError):
            await client.send(type="hello")
        yield client


async def test_a_foreign_page_is_refused_before_anything_is_said(server: Server) -> None:
    # A code and a reason, so that the page can say it and need not try again.
    code, reason = await _turned_away(server, {"type": "hello"})
    assert code == 4403
    assert reason.startswith("The page 'http://evil.example' may not connect")
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


async def _turned_away(
    server: Server, *said: dict[str, Any], host: str | None = None, page: str = "evil.example"
) -> tuple[int, str]:
    """Close code and reason for a foreign page that says this and hears nothing at all."""
    url, port = f"ws://{host or '127.0.0.1:' + str(server.port)}/ws", server.port
    async with connect(url, origin=_origin(page), host="127.0.0.1", port=port) as raw:
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
