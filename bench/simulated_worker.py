"""A worker that sleeps for as long as Ditto was measured to draw, and sends fragments of the size
of Ditto's. Everything else is the worker's own: places, refusing, telling.

    python -m bench.simulated_worker PACKS PORT PLACES FIRST_MS [KEPT]

With the folder KEPT the fragments can be played: a sentence of a length that is new there is
encoded once, for all workers. Without one they hold nothing. Ended by SIGTERM, it prints the most
streams that it ever drew at once.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ditto_avatar import event_loop
from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import sound_of
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.worker import Worker, serve_worker
from ditto_avatar.cluster.worker_stream import Sentence
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceStream
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.media.encode import fragment_lengths
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, ByteArray, VideoFrame, frames_for
from tests.fakes.engines import LoudnessFace

_PICTURE_BYTES = 4_000
"""100 kB a second, as docs/scale.md reckons."""
_GRAIN = 1.0
"""Noise of the pictures that are encoded, for about as many bytes."""


class SimulatedWorker(Worker):
    """Sleep instead of drawing; then keep the pace of a viewer."""

    def __init__(self, packs: Path, places: int, first_s: float, kept: Path | None) -> None:
        avatars = [load_avatar(path) for path in find_avatars(packs)]
        super().__init__(LoudnessFace(), WorkerPacks(avatars, LoudnessFace().prepare), places, None)
        self._first_s = first_s
        self._kept = kept
        self._encoding = asyncio.Lock()
        self._drawing = 0
        self.most = 0

    async def draw_stream(
        self, stream: FaceStream, avatar: Avatar, before: int, ups: AsyncIterator[pb.Up]
    ) -> AsyncGenerator[pb.Pictures, None]:
        """Send the fragments of all sentences, counted apart from the worker's own places."""
        self._drawing += 1
        self.most = max(self.most, self._drawing)
        loop = asyncio.get_running_loop()
        due = 0.0
        try:
            yield pb.Pictures(loop=[0])
            while samples := await _samples(ups):
                if not due:
                    due = loop.time() + self._first_s
                made = await self._made(avatar, before, samples)
                await asyncio.sleep(due - loop.time())
                for pictures in made:
                    yield pictures
                    due += len(pictures.idle_frames) / FRAME_RATE_HZ
                    await asyncio.sleep(due - loop.time())
                before = 0
        finally:
            self._drawing -= 1
            await stream.cancel()

    async def _made(self, avatar: Avatar, before: int, samples: int) -> list[pb.Pictures]:
        frames = frames_for(samples)
        if self._kept is None:
            return list(_empty_fragments(before, before + frames))
        path = self._kept / f"{avatar.name}-{before}-{frames}"
        async with self._encoding:
            if not path.exists():
                made = await _encoded(avatar, before, frames, self._executor)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_bytes(pickle.dumps([each.SerializeToString() for each in made]))
                partial.rename(path)
        return [pb.Pictures.FromString(each) for each in pickle.loads(path.read_bytes())]


def _empty_fragments(sent: int, frames: int) -> Iterator[pb.Pictures]:
    """Yield what a sentence of `frames` pictures is sent in, of which `sent` are there."""
    for length in fragment_lengths():
        count = min(length, frames - sent)
        sent += count
        data = bytes(count * _PICTURE_BYTES)
        yield pb.Pictures(idle_frames=[0] * count, fragments=[data], last=sent == frames)
        if sent == frames:
            return


async def _encoded(
    avatar: Avatar, before: int, frames: int, executor: Executor
) -> list[pb.Pictures]:
    """Encode a sentence of something that moves, as a worker does."""
    sentence = Sentence(avatar, before, executor)
    sentence.add(np.full(frames * SAMPLES_PER_FRAME, 0.1, np.float32))
    sentence.close()
    made = []
    for index in range(frames):
        picture = await asyncio.to_thread(_picture, avatar, index)
        if (pictures := await sentence.encode(VideoFrame(index, 0, picture))) is not None:
            made.append(pictures)
    made.append(await sentence.finish())
    return made


def _picture(avatar: Avatar, index: int) -> ByteArray:
    y, x = np.mgrid[0 : avatar.height * 3 // 2, 0 : avatar.width]
    waves = 128 + 20 * np.sin((x + index) / 23) * np.cos((y - index) / 17)
    grainy = waves + np.random.default_rng(index).normal(0, _GRAIN, waves.shape)
    picture: ByteArray = grainy.clip(0, 255).astype(np.uint8)
    return picture


async def _samples(ups: AsyncIterator[pb.Up]) -> int:
    """How much sound the next sentence has; 0 when no more will come."""
    samples = 0
    async for up in ups:
        step = up.WhichOneof("step")
        if step == "sound":
            samples += len(sound_of(up.sound).samples)
        elif samples or step == "finish":
            break
    return samples


class WorkerProcess:
    """One of them, in a process of its own."""

    def __init__(self, packs: Path, places: int, first_ms: float, kept: Path | None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        options = map(str, (packs, port, places, first_ms, *(() if kept is None else (kept,))))
        command = [sys.executable, "-m", "bench.simulated_worker", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def stop(self) -> int:
        """End it; the most streams that it drew at once."""
        self._process.terminate()
        out, _ = self._process.communicate()
        return int(out)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def worker_process(
    packs: Path, places: int, first_ms: float, kept: Path | None = None
) -> Iterator[WorkerProcess]:
    """Run one, killed at the end."""
    worker = WorkerProcess(packs, places, first_ms, kept)
    try:
        yield worker
    finally:
        worker.kill()


def main() -> None:
    """Serve until SIGTERM."""
    packs, port, places, first_ms, *kept = sys.argv[1:]
    folder = Path(kept[0]) if kept else None
    worker = SimulatedWorker(Path(packs), int(places), float(first_ms) / 1000, folder)
    event_loop.run(serve_worker(worker, f"127.0.0.1:{port}", 1))
    sys.stdout.write(f"{worker.most}\n")


if __name__ == "__main__":
    main()
