"""A worker that sleeps for as long as Ditto was measured to draw, and sends fragments of the size
of Ditto's. Everything else is the worker's own: places, refusing, telling.

    python -m bench.simulated_worker PACKS PORT PLACES FIRST_MS

Ended by SIGTERM, it prints the most streams that it ever drew at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import sound_of
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.worker import Worker, serve_worker
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceStream
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.media.encode import fragment_lengths
from ditto_avatar.types import FRAME_RATE_HZ, frames_for
from tests.fakes.engines import LoudnessFace

_PICTURE_BYTES = 4_000
"""100 kB a second, as docs/scale.md reckons."""


class SimulatedWorker(Worker):
    """Sleep instead of drawing; then keep the pace of a viewer."""

    def __init__(self, packs: Path, places: int, first_s: float) -> None:
        avatars = [load_avatar(path) for path in find_avatars(packs)]
        super().__init__(LoudnessFace(), WorkerPacks(avatars, LoudnessFace().prepare), places, None)
        self._first_s = first_s
        self._drawing = 0
        self.most = 0

    async def draw_stream(
        self, stream: FaceStream, avatar: Avatar, before: int, ups: AsyncIterator[pb.Up]
    ) -> AsyncGenerator[pb.Pictures, None]:
        """Send the fragments of one sentence, counted apart from the worker's own places."""
        self._drawing += 1
        self.most = max(self.most, self._drawing)
        try:
            yield pb.Pictures(loop=[0])
            frames = before + frames_for(await _samples(ups))
            await asyncio.sleep(self._first_s)
            loop = asyncio.get_running_loop()
            due, sent = loop.time(), before
            for length in fragment_lengths():
                count = min(length, frames - sent)
                sent += count
                data = bytes(count * _PICTURE_BYTES)
                yield pb.Pictures(idle_frames=[0] * count, fragments=[data], last=sent == frames)
                if sent == frames:
                    return
                due += count / FRAME_RATE_HZ
                await asyncio.sleep(due - loop.time())
        finally:
            self._drawing -= 1
            await stream.cancel()


async def _samples(ups: AsyncIterator[pb.Up]) -> int:
    """How much sound the sentence has."""
    samples = 0
    async for up in ups:
        if up.WhichOneof("step") == "flush":
            break
        if up.WhichOneof("step") == "sound":
            samples += len(sound_of(up.sound).samples)
    return samples


def main() -> None:
    """Serve until SIGTERM."""
    packs, port, places, first_ms = sys.argv[1:]
    worker = SimulatedWorker(Path(packs), int(places), float(first_ms) / 1000)
    asyncio.run(serve_worker(worker, f"127.0.0.1:{port}", 1))
    sys.stdout.write(f"{worker.most}\n")


if __name__ == "__main__":
    main()
