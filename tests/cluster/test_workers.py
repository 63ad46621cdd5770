"""Workers in processes of their own, over real gRPC: drawing, placing, and losing them."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from ditto_avatar.cluster import remote_stream
from ditto_avatar.cluster.fleet import SILENT_S
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.remote_stream import RemoteStream
from ditto_avatar.errors import Busy, InvalidInput, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import EncodedFrame
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray
from tests.cancelling import cancelled_everywhere
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.packs import make_pack
from tests.fakes.worker_process import worker_process

TOKEN = "a secret of thirty-two characters"
FRAMES = 60

Engine = Callable[..., AbstractAsyncContextManager[RemoteEngine]]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    make_pack(folder / "mina")
    return folder


@pytest.fixture(scope="module")
def avatar(packs: Path) -> Avatar:
    return load_avatar(packs / "mina")


class Workers:
    """Start workers, and know their ports."""

    def __init__(self, packs: Path, stack: ExitStack) -> None:
        self.packs = packs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = stack

    def start(self, places: int = 4, picture_ms: float = 0, token: str | None = None) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        running = worker_process(port, self.packs, places, picture_ms, token)
        address = f"127.0.0.1:{port}"
        self.processes[address] = self._stack.enter_context(running)
        return address


@pytest.fixture
def workers(packs: Path) -> Iterator[Workers]:
    with ExitStack() as stack:
        yield Workers(packs, stack)


@asynccontextmanager
async def engine_at(
    *addresses: str, token: str | None = None, place_s: float = 10
) -> AsyncIterator[tuple[RemoteEngine, list[float]]]:
    """An engine that knows all of `addresses`, and when its streams went on elsewhere."""
    moved: list[float] = []
    async with asyncio.timeout(TEST_DEADLINE_S):
        engine = await RemoteEngine.connect(
            addresses, token, lambda: moved.append(time.monotonic()), place_s=place_s
        )
        try:
            while len(engine.fleet.workers) < len(addresses):
                await engine.fleet.changed()
            yield engine, moved
        finally:
            await engine.close()


def sound(frames: int) -> FloatArray:
    """Sound that grows louder, so that each picture can be told from its neighbours."""
    loudness = np.repeat(np.linspace(0, 1, frames), SAMPLES_PER_FRAME)
    return np.asarray(loudness, np.float32)


async def speak(stream: RemoteStream, frames: int = FRAMES, sentences: int = 1) -> None:
    for _ in range(sentences):
        samples = sound(frames)
        for start in range(0, len(samples), 4_000):
            await stream.push(samples[start : start + 4_000])
        await stream.flush()
    await stream.finish()


def seen(frames: list[EncodedFrame]) -> list[float]:
    """Decode the fragments as a player does, and return the brightness of each picture."""
    data = b"".join(fragment for frame in frames for fragment in frame.fragments)
    with av.open(io.BytesIO(data), mode="r") as container:
        pictures = [(f.pts, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    times = [time for time, _ in pictures]
    assert all(time is not None for time in times)
    steps = np.diff(np.array(times, float))
    assert np.allclose(steps, steps[0])
    return [float(brightness) for _, brightness in pictures]


def heard_samples(frames: list[EncodedFrame]) -> int:
    data = b"".join(fragment for frame in frames for fragment in frame.fragments)
    with av.open(io.BytesIO(data), mode="r") as container:
        return sum(int(frame.samples) for frame in container.decode(audio=0))


async def test_a_worker_draws_every_picture_once(workers: Workers, avatar: Avatar) -> None:
    async with engine_at(workers.start()) as (engine, moved):
        stream = await engine.open(avatar, 3)
        assert stream.idle_frame(0) == 3
        await speak(stream, sentences=2)
        frames = [frame async for frame in stream]
        await stream.cancel()
    assert [frame.index for frame in frames] == list(range(2 * FRAMES))
    assert [frame.idle_frame for frame in frames] == [
        (3 + index) % avatar.frame_count for index in range(2 * FRAMES)
    ]
    assert [frame.index for frame in frames if frame.last] == [FRAMES - 1, 2 * FRAMES - 1]
    assert len(seen(frames[:FRAMES])) == FRAMES
    assert moved == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
async def test_another_worker_goes_on_in_the_middle_of_a_sentence(
    workers: Workers, avatar: Avatar, number: signal.Signals
) -> None:
    first = workers.start(places=5, picture_ms=15)
    second = workers.start(places=1, picture_ms=0)
    async with engine_at(first, second) as (engine, moved):
        stream = await engine.open(avatar)
        await speak(stream)
        frames: list[EncodedFrame] = []
        async for frame in stream:
            frames.append(frame)
            if len(frames) == 10:
                struck_at = time.monotonic()
                workers.processes[first].send_signal(number)
        await stream.cancel()
    assert len(moved) == 1
    assert moved[0] - struck_at < SILENT_S + TEST_DEADLINE_S / 10
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.idle_frame for frame in frames] == [
        index % avatar.frame_count for index in range(FRAMES)
    ]
    brightness = np.array(seen(frames)) - avatar_brightness(avatar, FRAMES)
    assert len(brightness) == FRAMES
    # Each picture shows its own sound: it is brighter from picture to picture, before and after.
    assert np.corrcoef(brightness, np.arange(FRAMES))[0, 1] > 0.99
    assert heard_samples(frames) >= FRAMES * 1_920


async def test_a_stream_that_lost_its_only_worker_says_so(workers: Workers, avatar: Avatar) -> None:
    address = workers.start(picture_ms=15)
    async with engine_at(address, place_s=0.2) as (engine, _):
        stream = await engine.open(avatar)
        await speak(stream)
        pictures = aiter(stream)
        await anext(pictures)
        workers.processes[address].kill()
        with pytest.raises(Unavailable, match="No worker"):
            _ = [picture async for picture in pictures]
        await stream.cancel()


async def test_the_worker_with_the_most_free_places_draws(workers: Workers, avatar: Avatar) -> None:
    addresses = [workers.start(places=2, picture_ms=20) for _ in range(2)]
    async with engine_at(*addresses, place_s=0.3) as (engine, _):
        assert engine.max_streams == 4
        streams = [await engine.open(avatar) for _ in range(4)]
        while sum(w.places.taken for w in engine.fleet.workers if w.places) < 4:
            await engine.fleet.changed()
        assert [w.places.taken for w in engine.fleet.workers if w.places] == [2, 2]
        with pytest.raises(Busy):
            await engine.open(avatar)
        await streams[0].cancel()
        again = await engine.open(avatar)
        for stream in (*streams, again):
            await stream.cancel()


async def test_a_cancelled_stream_frees_its_place_at_once(workers: Workers, avatar: Avatar) -> None:
    async with engine_at(workers.start(places=1, picture_ms=50)) as (engine, _):
        [worker] = engine.fleet.workers
        stream = await engine.open(avatar)
        await speak(stream)
        async for _ in stream:
            break
        begun = time.monotonic()
        await stream.cancel()
        while worker.free == 0:
            await engine.fleet.changed()
        assert time.monotonic() - begun < TEST_DEADLINE_S / 10


async def test_a_worker_that_stops_finishes_what_it_draws(workers: Workers, avatar: Avatar) -> None:
    first, second = workers.start(places=5, picture_ms=15), workers.start(places=1)
    async with engine_at(first, second) as (engine, moved):
        stream = await engine.open(avatar)
        workers.processes[first].terminate()
        while next(w for w in engine.fleet.workers if w.address == first).free:
            await engine.fleet.changed()
        other = await engine.open(avatar)
        await asyncio.gather(speak(stream), speak(other))
        frames = [frame async for frame in stream]
        await stream.cancel()
        await other.cancel()
    assert len(frames) == FRAMES
    assert moved == []
    assert await asyncio.to_thread(workers.processes[first].wait, TEST_DEADLINE_S) == 0


async def test_strangers_do_not_draw(workers: Workers, avatar: Avatar) -> None:
    address = workers.start(token=TOKEN)
    async with engine_at(address, token=TOKEN) as (engine, _):
        stream = await engine.open(avatar)
        await stream.cancel()
    with pytest.raises(Unavailable, match="no worker answers"):
        await RemoteEngine.connect([address], TOKEN + "!", lambda: None, first_s=1)


@pytest.mark.parametrize("address", ["worker", "worker:", ":7138", "worker:x"])
async def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(InvalidInput, match="expected host:port"):
        await RemoteEngine.connect([address], None, lambda: None)


def avatar_brightness(avatar: Avatar, frames: int) -> FloatArray:
    """The brightness of the idle loop below each picture."""
    height = avatar.height
    means = [avatar.idle_frames[i % avatar.frame_count][:height].mean() for i in range(frames)]
    return np.array(means, np.float32)


async def test_a_worker_that_speaks_and_does_not_draw_is_lost(
    workers: Workers, avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_stream, "_STUCK_S", 0.5)
    hour_ms = 3_600_000
    stuck, other = workers.start(places=5, picture_ms=hour_ms), workers.start(places=1)
    async with engine_at(stuck, other) as (engine, moved):
        stream = await engine.open(avatar)
        await speak(stream)
        frames = [frame async for frame in stream]
        await stream.cancel()
        assert [frame.index for frame in frames] == list(range(FRAMES))
        assert len(moved) == 1
        # It still tells its places: it was not silent.
        assert stuck in {worker.address for worker in engine.fleet.workers}


async def test_finding_workers_and_drawing_can_be_cancelled_at_every_wait(
    workers: Workers, avatar: Avatar
) -> None:
    address = workers.start(places=2)
    async with engine_at(address):
        pass  # it is ready
    ours = {"remote stream", "workers", address}

    async def draw() -> bool:
        engine = await RemoteEngine.connect([address], None, lambda: None)
        try:
            stream = await engine.open(avatar)
            try:
                await speak(stream, 5)
                async for _ in stream:
                    pass
            finally:
                await stream.cancel()
        finally:
            await engine.close()
        return False

    async for wait in cancelled_everywhere(draw):
        left = [task for task in asyncio.all_tasks() if task.get_name() in ours]
        if left:  # told to end, and has not had the time
            _, running = await asyncio.wait(left, timeout=TEST_DEADLINE_S)
            assert not running, wait
    async with engine_at(address) as (engine, _):
        [worker] = engine.fleet.workers
        while worker.free < 2:
            await engine.fleet.changed()
