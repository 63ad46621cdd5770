"""What pages of other origins may use of a server."""

from __future__ import annotations

import re

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.embedding import embed_files, embed_module
from ditto_avatar.server.origin import listed

from .conftest import ServeWith

SHOP, STRANGER = "https://shop.example", "https://stranger.example"


async def test_an_allowed_page_may_read_what_the_element_needs_and_frame_the_page(
    serve: ServeWith,
) -> None:
    async with serve(allowed_origins=SHOP) as server:
        for path in ("/embed.js", "/static/core/client.js", "/api/avatars"):
            answer = await server.http.get(path, headers={"Origin": SHOP})
            assert answer.headers["access-control-allow-origin"] == SHOP, path
            assert "Origin" in answer.headers["vary"]
        asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization"
        preflight = await server.http.options("/api/sessions", headers=asked)
        assert preflight.status_code == 200
        page = await server.http.get("/")
        assert f"frame-ancestors 'self' {SHOP};" in page.headers["content-security-policy"]


async def test_other_pages_and_other_paths_stay_closed(serve: ServeWith) -> None:
    async with serve(allowed_origins=SHOP) as server:
        for path, origin in (("/embed.js", STRANGER), ("/healthz", SHOP), ("/", SHOP)):
            answer = await server.http.get(path, headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers, (path, origin)
            assert "access-control-allow-credentials" not in answer.headers
        asked = {"Origin": STRANGER, "Access-Control-Request-Method": "POST"}
        refused = await server.http.options("/api/sessions", headers=asked)
        assert "access-control-allow-origin" not in refused.headers


def test_origins_are_written_as_browsers_write_them() -> None:
    allowed = " HTTPS://Shop.example:443, http://localhost:8080 ,http://[::1]:80"
    assert listed(allowed) == ["https://shop.example", "http://localhost:8080", "http://[::1]"]
    assert listed("") == []


@pytest.mark.parametrize("text", ["*", "shop.example", "ftp://shop.example", "null"])
def test_what_is_no_origin_is_refused_at_start(text: str) -> None:
    with pytest.raises(InvalidInput, match="DITTO_ALLOWED_ORIGINS"):
        listed(text)


def test_the_module_names_what_the_element_needs_at_once_and_nothing_else() -> None:
    module, names = embed_module(), {path.name for path in embed_files()}
    assert all(
        f'import "./static/{path.parent.name}/{path.name}";' in module for path in embed_files()
    )
    assert {"element.js", "client.js", "player.js", "voice.js"} <= names
    assert not {"microphone.js", "recognition.js", "hearing.js", "pcm-worklet.js"} & names


async def test_the_element_is_30_kb_on_the_wire(serve: ServeWith) -> None:
    """In thousands of bytes, compressed as a browser asks for it."""
    async with serve() as server:
        size = 0
        for path in ("/embed.js", *re.findall(r'import "\.(/.+)";', embed_module())):
            async with server.http.stream("GET", path) as answer:
                assert answer.headers["content-encoding"] == "gzip", path
                size += len(b"".join([part async for part in answer.aiter_raw()]))
    assert 10_000 < size <= 30_000
