"""How the page's scripts and styles are sent."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from ditto_avatar.server.app import WEB
from ditto_avatar.server.page_files import without_comments

from .conftest import ServeWith

SCRIPTS = sorted(path for path in WEB.rglob("*.js") if "vendor" not in path.parts)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_only_comments_are_taken_out_of_a_script(path: Path) -> None:
    """Each line that goes is a comment, and outside of a text: an even number of backticks stands
    before it."""
    script = path.read_text()
    kept = without_comments(script).splitlines()
    ticks = list(accumulate((line.count("`") for line in kept), initial=0))
    place, inside = 0, False
    for line in script.splitlines():
        if not inside and place < len(kept) and line == kept[place]:
            place += 1
            continue
        stripped = line.strip()
        inside = inside or stripped.startswith("/**")
        assert inside or stripped.startswith("//"), f"{path.name}: {line}"
        assert ticks[place] % 2 == 0, f"{path.name}: within a text: {line}"
        inside = inside and not stripped.endswith("*/")
    assert place == len(kept)


async def test_a_script_is_sent_compressed_and_once(serve: ServeWith) -> None:
    async with serve() as server:
        answer = await server.http.get("/static/main.js")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "accept-encoding" in answer.headers["vary"].lower()
        assert "/**" not in answer.text
        known = {"If-None-Match": answer.headers["etag"]}
        again = await server.http.get("/static/main.js", headers=known)
        assert (again.status_code, again.content) == (304, b"")


async def test_a_client_that_cannot_decompress_gets_the_text(serve: ServeWith) -> None:
    async with serve() as server:
        plain = await server.http.get("/static/main.js", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        head = await server.http.head("/static/styles/base.css")
        assert head.headers["content-encoding"] == "gzip"
