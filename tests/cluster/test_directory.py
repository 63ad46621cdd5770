"""Workers that a directory knows: found, lost from its list, and kept while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ditto_avatar.cluster.directory import Directory, Finder, Place
from ditto_avatar.cluster.listening import listen
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from tests.cancelling import cancelled_everywhere
from tests.cluster.test_server import free_port
from tests.cluster.test_tls import Authority
from tests.cluster.test_workers import TOKEN, Workers, avatar, packs, speak, workers
from tests.deadlines import TEST_DEADLINE_S

__all__ = ["avatar", "packs", "workers"]  # fixtures


@asynccontextmanager
async def directory(
    addresses: list[str], port: int = 0, token: str | None = None
) -> AsyncIterator[Place]:
    handlers = Directory(lambda: addresses, token).handlers()
    server, port = await listen(handlers, f"127.0.0.1:{port}", None)
    try:
        yield Place("127.0.0.1", port, is_directory=True)
    finally:
        await server.stop(0)


async def test_a_server_finds_the_workers_that_come_and_draws_at_them(
    workers: Workers, avatar: Avatar
) -> None:
    known = [workers.start()]
    async with directory(known) as place, asyncio.timeout(TEST_DEADLINE_S):
        engine = await RemoteEngine.connect([str(place)], None, lambda: None)
        try:
            known.append(workers.start())
            while len(engine.fleet.workers) < 2:
                await engine.fleet.changed()
            stream = await engine.open(avatar)
            await speak(stream, 5)
            assert len([frame async for frame in stream]) == 5
            await stream.cancel()
        finally:
            await engine.close()


async def test_a_directory_that_is_away_takes_no_worker_with_it() -> None:
    port = free_port()
    finder = Finder([Place("127.0.0.1", port, is_directory=True)], None, None)
    assert await finder.find() == {}
    async with directory(["10.0.0.1:7138", "[::2]:7138"], port):
        listed = await finder.find()
    assert listed == {"10.0.0.1:7138": "10.0.0.1", "[::2]:7138": "::2"}
    assert await finder.find() == listed
    async with directory([], port):
        assert await finder.find() == {}


async def test_strangers_are_not_told_where_workers_are() -> None:
    async with directory(["10.0.0.1:7138"], token=TOKEN) as place:
        assert await Finder([place], TOKEN, None).find()
        assert await Finder([place], TOKEN + "!", None).find() == {}
        assert await Finder([place], None, None).find() == {}


async def test_a_directory_shows_its_certificate(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    handlers = Directory(lambda: ["10.0.0.1:7138"], None).handlers()
    server, port = await listen(handlers, "127.0.0.1:0", ours.tls("127.0.0.1"))
    place = Place("127.0.0.1", port, is_directory=True)
    assert await Finder([place], None, ours.tls("server")).find()
    assert await Finder([place], None, theirs.tls("server")).find() == {}
    await server.stop(0)


@pytest.mark.parametrize("address", ["cluster://", "cluster://host", "http://host:1x"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(InvalidInput, match="DITTO_WORKERS: expected"):
        Place.parse(address)


async def test_listening_and_asking_can_be_cancelled_at_every_wait() -> None:
    port = free_port()

    async def ask() -> bool:
        nonlocal port
        port = free_port()
        async with directory(["10.0.0.1:7138"], port) as place:
            await Finder([place], None, None).find()
        return False

    async for wait in cancelled_everywhere(ask):
        assert await nobody_listens(port), wait


async def nobody_listens(port: int) -> bool:
    """Whether it is so, a moment after the server was stopped."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TEST_DEADLINE_S
    while loop.time() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        writer.close()
        await asyncio.sleep(0.02)
    return False
