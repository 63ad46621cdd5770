"""Packs that travel: a worker that lacks a presenter gets it from the server that wants it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.worker import Worker
from ditto_avatar.errors import InvalidAvatar, NotFound, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import load_avatar
from tests.cancelling import cancelled_everywhere
from tests.cluster.test_workers import FRAMES, Workers, speak, workers
from tests.cluster.test_workers import packs as packs
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.engines import LoudnessFace
from tests.fakes.packs import make_pack
from tests.fakes.worker_process import TimedFace

__all__ = ["packs", "workers"]  # fixtures


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A presenter that no worker has."""
    folder = tmp_path_factory.mktemp("other") / "juna"
    make_pack(folder, frames=11)
    return load_avatar(folder)


class Here:
    """A worker in this process, whose packs can be looked at."""

    def __init__(self, folder: Path, **limits: float) -> None:
        self.face = TimedFace(0)
        self.folder = folder
        self.packs = WorkerPacks([], self.face.prepare, folder, **limits)  # type: ignore[arg-type]
        self.worker = Worker(self.face, self.packs, 4, None)
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RemoteEngine]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self.worker.handlers(),))
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        async with asyncio.timeout(TEST_DEADLINE_S):
            engine = await RemoteEngine.connect([self.address], None, lambda: None)
            try:
                yield engine
            finally:
                await engine.close()
                await server.stop(0)
                self.packs.close()


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


async def drawn(engine: RemoteEngine, avatar: Avatar, frames: int = 5) -> int:
    """Draw a sentence; how many pictures came."""
    stream = await engine.open(avatar)
    await speak(stream, frames)
    count = len([frame async for frame in stream])
    await stream.cancel()
    return count


async def test_a_presenter_that_no_worker_has_is_drawn(workers: Workers, other: Avatar) -> None:
    engine = await RemoteEngine.connect([workers.start()], None, lambda: None)
    try:
        async with asyncio.timeout(TEST_DEADLINE_S):
            assert not engine.fleet.workers[0].has(other.fingerprint)
            assert await drawn(engine, other, FRAMES) == FRAMES
            while not engine.fleet.workers[0].has(other.fingerprint):
                await engine.fleet.changed()
    finally:
        await engine.close()


async def test_a_pack_is_brought_once_for_all_who_wait(here: Here, other: Avatar) -> None:
    async with here.serving() as engine:
        counts = await asyncio.gather(*(drawn(engine, other) for _ in range(4)))
        await engine.prepare(other)
    assert counts == [5, 5, 5, 5]
    assert here.face.prepared == ["juna"]


async def test_a_pack_is_brought_before_anybody_waits_for_it(here: Here, other: Avatar) -> None:
    async with here.serving() as engine:
        await engine.prepare(other)
        assert list(here.packs.digests) == [other.fingerprint]
        assert here.packs.find(other.fingerprint).folder.is_relative_to(here.folder)


async def test_a_pack_that_was_let_go_a_moment_ago_is_brought_again(
    here: Here, other: Avatar
) -> None:
    async with here.serving() as engine:
        await engine.prepare(other)
        while not engine.fleet.workers[0].has(other.fingerprint):
            await engine.fleet.changed()
        here.packs.close()  # and the server does not know it yet
        assert await drawn(engine, other) == 5
    assert here.face.prepared == ["juna", "juna"]


async def test_what_is_not_drawn_for_long_is_erased(tmp_path: Path, other: Avatar) -> None:
    here = Here(tmp_path, unused_s=0.2)
    async with here.serving() as engine:
        await engine.prepare(other)
        stream = await engine.open(other)
        [folder] = tmp_path.iterdir()
        assert await until(lambda: not here.packs.digests)
        assert folder.is_dir(), "the stream draws it still"
        await speak(stream, 5)
        assert len([frame async for frame in stream]) == 5
        await stream.cancel()
    assert await until(lambda: not folder.exists())


async def until(true: Callable[[], bool]) -> bool:
    """Look again and again; False where it does not become true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TEST_DEADLINE_S
    while not (found := true()) and loop.time() < deadline:
        gc.collect()
        await asyncio.sleep(0.02)
    return found


async def test_beyond_the_limit_the_longest_unused_goes(tmp_path: Path, other: Avatar) -> None:
    make_pack(tmp_path / "source" / "second", frames=12)
    second = load_avatar(tmp_path / "source" / "second")
    size = len(packed(other))
    here = Here(tmp_path, most_bytes=int(size * 1.5))
    async with here.serving() as engine:
        await engine.prepare(other)
        await engine.prepare(second)
        assert list(here.packs.digests) == [second.fingerprint]


async def test_a_pack_that_the_engine_cannot_draw_is_refused(here: Here, other: Avatar) -> None:
    here.face.undrawable.add("juna")
    async with here.serving() as engine:
        with pytest.raises(InvalidAvatar, match="has no face"):
            await engine.open(other)
        with pytest.raises(InvalidAvatar, match="has no face"):
            await engine.prepare(other)
        assert list(here.packs.digests) == []


async def test_files_that_changed_since_they_were_checked_are_refused(
    here: Here, tmp_path: Path
) -> None:
    make_pack(tmp_path / "source" / "juna")
    avatar = load_avatar(tmp_path / "source" / "juna")
    make_pack(tmp_path / "newer" / "juna", frames=11)
    for path in (tmp_path / "newer" / "juna").iterdir():
        shutil.copy(path, avatar.folder / path.name)
    async with here.serving() as engine:
        with pytest.raises(InvalidAvatar, match="another one"):
            await engine.open(avatar)


async def test_a_worker_that_dies_while_it_gets_a_pack_is_replaced(
    workers: Workers, other: Avatar
) -> None:
    first, second = workers.start(places=9), workers.start(places=1)
    engine = await RemoteEngine.connect([first, second], None, lambda: None)
    try:
        async with asyncio.timeout(TEST_DEADLINE_S):
            while len(engine.fleet.workers) < 2:
                await engine.fleet.changed()
            opening = asyncio.create_task(engine.open(other))
            await asyncio.sleep(0)
            workers.processes[first].kill()
            stream = await opening
            await speak(stream, 5)
            assert len([frame async for frame in stream]) == 5
            await stream.cancel()
            assert [w.address for w in engine.fleet.workers if w.has(other.fingerprint)]
    finally:
        await engine.close()


# What a worker takes, and what it does not ------------------------------------------------------


def packed(avatar: Avatar, name: str = "juna/") -> bytes:
    """The pack as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(avatar.folder.iterdir()):
            archive.write(path, name + path.name)
    return out.getvalue()


async def parts(head: pb.PackHead, data: bytes, block: int = 10_000) -> AsyncIterator[pb.PackPart]:
    yield pb.PackPart(head=head)
    for start in range(0, len(data), block):
        yield pb.PackPart(data=data[start : start + block])


def head_of(avatar: Avatar, data: bytes, **changed: object) -> pb.PackHead:
    content = {
        "name": "juna",
        "digest": avatar.fingerprint,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    } | changed
    return pb.PackHead(**content)  # type: ignore[arg-type]


def packs_in(folder: Path) -> WorkerPacks:
    return WorkerPacks([], LoudnessFace().prepare, folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sha256": "0" * 64}, "other bytes"),
        ({"size": 10}, "other bytes"),
        ({"size": 10_000_000}, "other bytes"),
        ({"size": 0}, "at most"),
        ({"size": 1 << 40}, "at most"),
        ({"digest": "0" * 16}, "another one"),
        ({"name": "mina"}, "another one"),
        ({"name": "../mina"}, "cannot be the name"),
    ],
)
async def test_a_pack_that_is_not_what_its_head_says_is_refused(
    tmp_path: Path, other: Avatar, changed: dict[str, object], said: str
) -> None:
    data, here = packed(other), packs_in(tmp_path)
    with pytest.raises(InvalidAvatar, match=said):
        await here.take(parts(head_of(other, data, **changed), data))
    assert list(here.digests) == []
    assert await until(lambda: not list(tmp_path.iterdir()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda avatar: b"no zip at all",
        lambda avatar: packed(avatar, "../juna/"),
        lambda avatar: packed(avatar)[:-2_000],
        lambda avatar: packed(avatar).replace(b"ftyp", b"xxxx"),
    ],
    ids=["no zip", "a path outside", "cut off", "no film"],
)
async def test_hostile_packs_are_opened_by_a_child_and_refused(
    tmp_path: Path, other: Avatar, spoil: Callable[[Avatar], bytes]
) -> None:
    data, here = spoil(other), packs_in(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    with pytest.raises(InvalidAvatar):
        await here.take(parts(head_of(other, data), data))
    assert await until(lambda: not list((tmp_path / "cache").iterdir()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"]


async def test_taking_a_pack_can_be_cancelled_at_every_wait(tmp_path: Path, other: Avatar) -> None:
    data, here = packed(other), packs_in(tmp_path)

    async def take() -> bool:
        await here.take(parts(head_of(other, data), data, len(data) // 2 + 1))
        return False

    async for wait in cancelled_everywhere(take):
        with pytest.raises(NotFound):
            here.find(other.fingerprint)
        assert await until(lambda: not list(tmp_path.iterdir())), wait
        if list(here.digests):
            here.close()
    assert list(here.digests) == [other.fingerprint]
    here.close()


async def test_opening_can_be_cancelled_while_the_pack_is_brought(
    here: Here, other: Avatar
) -> None:
    async with here.serving() as engine:

        async def open_and_close() -> bool:
            stream = await engine.open(other)
            await stream.cancel()
            here.packs.close()
            return False

        async for wait in cancelled_everywhere(open_and_close):
            # The pack goes on for others: the next one gets it, or waits for the same.
            assert await drawn(engine, other) == 5, wait
            here.packs.close()
        [worker] = engine.fleet.workers
        while worker.free < 4:
            await engine.fleet.changed()


async def test_closing_stops_what_is_on_its_way(here: Here, other: Avatar) -> None:
    async with here.serving() as engine:
        preparing = asyncio.create_task(engine.prepare(other))
        await asyncio.sleep(0)
        await engine.close()
        await asyncio.wait([preparing])
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "pack"]
        with pytest.raises((Unavailable, asyncio.CancelledError)):
            await preparing
