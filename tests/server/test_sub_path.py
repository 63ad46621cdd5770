"""The server below a path of a site, with a proxy that takes the path off or leaves it on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.sub_path import SubPath
from ditto_avatar.settings import Settings
from tests.server.conftest import ServeWith, Socket, packs, serve, small_presenters

__all__ = ["packs", "serve", "small_presenters"]  # fixtures

FORWARDED = {"X-Forwarded-Prefix": "/avatar"}


@pytest.mark.parametrize(
    ("settings", "headers", "path"),
    [
        ({"root_path": "/avatar"}, {}, "/avatar"),
        ({"root_path": "/avatar/"}, {}, ""),
        ({"trusted_proxies": "127.0.0.1"}, FORWARDED, ""),
        ({"trusted_proxies": "127.0.0.1"}, FORWARDED, "/avatar"),
    ],
)
async def test_everything_works_below_a_path(
    serve: ServeWith, settings: dict[str, Any], headers: dict[str, str], path: str
) -> None:
    async with (
        serve(**settings) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as http,
    ):
        assert 'src="static/main.js"' in (await http.get(f"{path}/")).text
        assert (await http.get(f"{path}/static/main.js")).status_code == 200
        [avatar, *_] = (await http.get(f"{path}/api/avatars")).json()
        assert avatar["poster_url"].startswith("/avatar/avatars/")
        below = avatar["poster_url"].removeprefix("/avatar")
        assert (await http.get(f"{path}{below}")).status_code == 200
        address = f"ws://127.0.0.1:{server.port}{path}/ws"
        async with connect(address, additional_headers=headers) as raw:
            client = Socket(raw)
            await client.send(type="hello")
            ready = await client.next()
            assert ready["avatar"]["idle_url"].startswith("/avatar/avatars/")


async def test_the_page_without_its_slash_is_sent_to_its_folder(serve: ServeWith) -> None:
    async with (
        serve(root_path="/avatar") as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http,
    ):
        answer = await http.get("/avatar")
        assert answer.status_code == 308
        assert answer.headers["location"].endswith("/avatar/")


@pytest.mark.parametrize("told", ["/avatar", "//evil.example", "/a/../b", "javascript:x", "/a b"])
async def test_what_a_visitor_says_of_the_path_does_not_count(serve: ServeWith, told: str) -> None:
    proxies = "" if told == "/avatar" else "127.0.0.1"
    async with (
        serve(trusted_proxies=proxies) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http,
    ):
        answer = await http.get("/api/avatars", headers={"X-Forwarded-Prefix": told})
        assert answer.json()[0]["poster_url"].startswith("/avatars/")


@pytest.mark.parametrize("path", ["avatar", "/a b", "//x", "/..", "https://x"])
def test_a_path_that_is_none_is_named(path: str) -> None:
    with pytest.raises(InvalidInput, match="DITTO_ROOT_PATH"):
        SubPath.root_of(Settings(root_path=path))
