"""The proxy examples, by the real nginx and the real Caddy, in front of a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.proxies import NAME, NotInstalled, Proxy, caddy, caddy_below, nginx, nginx_below
from tests.server.conftest import ServeWith, Socket, packs, serve, small_presenters

__all__ = ["packs", "serve", "small_presenters"]  # fixtures

Start = Callable[[Path, int], AbstractAsyncContextManager[Proxy]]
Behind = Callable[..., AbstractAsyncContextManager[Proxy]]

VISITORS = [f"127.0.0.{number}" for number in range(2, 7)]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def behind(request: pytest.FixtureRequest, serve: ServeWith, tmp_path: Path) -> Behind:
    """Starts a server with some settings, and the proxy in front of it."""
    start: Start = request.param

    @asynccontextmanager
    async def both(**settings: Any) -> AsyncIterator[Proxy]:
        known = {"allowed_hosts": NAME, "trusted_proxies": "127.0.0.1"}
        folder = tmp_path / "proxy"
        folder.mkdir()
        async with serve(**known, **settings) as server:
            try:
                async with start(folder, server.port) as proxy:
                    yield proxy
            except NotInstalled as error:
                pytest.skip(str(error))

    return both


@asynccontextmanager
async def viewer(proxy: Proxy, source: str, **headers: str) -> AsyncIterator[Socket]:
    """A page at the address `source` that has said hello."""
    async with connect(
        f"{'wss' if proxy.tls else 'ws'}://{NAME}:{proxy.port}/ws",
        host="127.0.0.1",
        port=proxy.port,
        ssl=proxy.tls,
        local_addr=(source, 0),
        origin=Origin(proxy.origin),
        additional_headers=headers,
        max_size=None,
    ) as raw:
        client = Socket(raw)
        await client.send(type="hello")
        yield client


async def first_answer(proxy: Proxy, source: str, **headers: str) -> str:
    """The type of the first event, or the code of the error."""
    async with viewer(proxy, source, **headers) as client:
        event = await client.next()
        return str(event.get("code", event["type"]))


async def opened(proxy: Proxy, source: str, **headers: str) -> int:
    """The status of a request for a session over REST."""
    async with proxy.http(source) as http:
        answer = await http.post("/api/sessions", json={}, headers=headers)
        return answer.status_code


async def statuses_of(proxy: Proxy, source: str, count: int) -> list[bytes]:
    """Send requests without waiting for the answers; the statuses."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=proxy.tls, server_hostname=NAME, local_addr=(source, 0)
    )
    request = f"GET /healthz HTTP/1.1\r\nHost: {NAME}:{proxy.port}\r\n".encode()
    writer.write((request + b"\r\n") * (count - 1) + request + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(TEST_DEADLINE_S):
        answers = await reader.read(-1)
    writer.close()
    return re.findall(rb"^HTTP/1.1 (\d+)", answers, re.MULTILINE)


async def test_rest_and_websocket_pass(behind: Behind) -> None:
    async with behind() as proxy:
        async with proxy.http("127.0.0.1") as http:
            page = await http.get("/")
            assert page.status_code == 200
            assert page.headers["strict-transport-security"]
            assert page.headers["x-content-type-options"] == "nosniff"
            assert (await http.get("/metrics")).status_code == 404
            part = await http.get("/avatars/oval/idle.mp4", headers={"Range": "bytes=0-9"})
            assert part.status_code == 206
        async with viewer(proxy, "127.0.0.1") as client:
            await client.send(type="say", text="Hi.")
            await client.until("turn.finished")
            assert client.media


async def test_an_address_that_a_visitor_makes_up_does_not_count(behind: Behind) -> None:
    async with behind(sessions_per_minute=2) as proxy:
        made_up = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(3)]
        answers = [await opened(proxy, VISITORS[0], **headers) for headers in made_up]
        assert answers == [201, 201, 429]
        events = [await first_answer(proxy, VISITORS[1], **headers) for headers in made_up]
        assert events == ["session.ready", "session.ready", "rate_limited"]


async def test_every_visitor_has_an_allowance_of_its_own(behind: Behind) -> None:
    async with behind(sessions_per_minute=1) as proxy:
        assert [await opened(proxy, source) for source in VISITORS] == [201] * len(VISITORS)
        assert await opened(proxy, VISITORS[0]) == 429
        others = [source.replace("127.0.0.", "127.0.1.") for source in VISITORS]
        events = [await first_answer(proxy, source) for source in others]
        assert events == ["session.ready"] * len(others)


async def test_a_foreign_page_and_a_foreign_name_are_refused_through_the_proxy(
    behind: Behind,
) -> None:
    async with behind() as proxy, proxy.http("127.0.0.1") as http:
        foreign = {"Origin": "https://evil.example"}
        answer = await http.post("/api/sessions", json={}, headers=foreign)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        answer = await http.get("/api/avatars", headers={"Host": "evil.example"})
        assert b"oval" not in answer.content


async def test_nginx_slows_down_one_visitor_and_no_other(serve: ServeWith, tmp_path: Path) -> None:
    # A busy machine is to be slower than what nginx lets pass in neither case.
    slow = {"rate=20r/s": "rate=10r/m", "burst=100": "burst=5"}
    try:
        async with (
            serve(allowed_hosts=NAME, trusted_proxies="127.0.0.1") as server,
            nginx(tmp_path, server.port, slow) as proxy,
            proxy.http(VISITORS[1]) as other,
        ):
            statuses = await statuses_of(proxy, VISITORS[0], 30)
            assert set(statuses) == {b"200", b"429"}
            assert (await other.get("/healthz")).status_code == 200
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("start", [nginx_below, caddy_below], ids=["nginx", "caddy"])
async def test_the_page_works_below_a_path_as_documented(
    start: Start, serve: ServeWith, tmp_path: Path
) -> None:
    known = {"allowed_hosts": NAME, "trusted_proxies": "127.0.0.1"}
    async with serve(**known) as server:
        try:
            async with start(tmp_path, server.port) as proxy, proxy.http(VISITORS[0]) as http:
                moved = await http.get("/avatar")
                assert moved.status_code == 308
                assert moved.headers["location"].endswith("/avatar/")
                assert 'src="static/main.js"' in (await http.get("/avatar/")).text
                assert (await http.get("/avatar/static/main.js")).status_code == 200
                async with connect(
                    f"ws://{NAME}:{proxy.port}/avatar/ws",
                    host="127.0.0.1",
                    port=proxy.port,
                    origin=Origin(proxy.origin),
                ) as raw:
                    client = Socket(raw)
                    await client.send(type="hello")
                    idle = (await client.next())["avatar"]["idle_url"]
                    assert idle.startswith("/avatar/avatars/")
                assert (await http.get(idle)).status_code == 200
        except NotInstalled as error:
            pytest.skip(str(error))
