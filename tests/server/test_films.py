"""A lone film of the operator's becomes a presenter while the server serves already."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.films import write_film
from tests.server.conftest import Server, serving


def film_in(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    return write_film(place / "base.mp4")


async def made(server: Server) -> None:
    """Wait until nothing is made any more."""
    async with asyncio.timeout(4 * TEST_DEADLINE_S):
        # A server is asked from outside, as a page asks it.
        while "preparing" in (await server.http.get("/readyz")).json():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_another_presenter_stands_in_until_the_film_is_made(tmp_path: Path) -> None:
    film_in(tmp_path / "own", "bo")
    async with serving(tmp_path / "data", avatar="bo", avatars_dir=tmp_path / "own") as server:
        assert (await server.http.get("/readyz")).json() == {"status": "ready", "preparing": "bo"}
        (waiting,) = (await server.http.get("/api/avatars/preparing")).json()
        assert waiting["name"] == "bo"
        assert waiting["stage"] in ("waiting", "making", "testing")
        names = [avatar["name"] for avatar in (await server.http.get("/api/avatars")).json()]
        assert "bo" not in names
        async with server.socket() as viewer:
            assert (await viewer.until("session.ready"))["avatar"]["name"] == names[0]
        await made(server)
        assert (await server.http.get("/api/avatars/preparing")).json() == []
        assert (await server.http.get("/avatars/bo/poster.webp")).status_code == 200
        async with server.socket() as viewer:
            assert (await viewer.until("session.ready"))["avatar"]["name"] == "bo"
        assert (tmp_path / "own" / "bo" / "about.json").is_file()


async def test_a_film_that_is_none_costs_the_others_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "own" / "al" / "base.mp4"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no film")
    film_in(tmp_path / "own", "bo")
    async with serving(tmp_path / "data", avatars_dir=tmp_path / "own") as server:
        await made(server)
        found = (await server.http.get("/api/avatars/preparing")).json()
        assert found == [{"name": "al", "stage": "failed"}]
        assert server.parts is not None
        assert "bo" in server.parts.avatars
        assert "al" not in server.parts.avatars


async def test_a_server_that_stops_leaves_the_film_as_it_was(tmp_path: Path) -> None:
    film = film_in(tmp_path / "own", "bo")
    async with serving(tmp_path / "data", avatars_dir=tmp_path / "own") as server:
        assert "preparing" in (await server.http.get("/readyz")).json()
    assert [path.name for path in film.parent.iterdir()] == ["base.mp4"]
