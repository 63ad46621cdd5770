"""A worker that draws nothing: it sends fragments of a set size at a set pace, each with the time
at which it was handed to the network in front. Over the protocol of `ditto-avatar worker`.

    python -m bench.transport_worker PACKS PORT PLAIN_PORT PLACES FRAGMENT_BYTES FRAGMENT_MS

At the second port it sends as many bytes at the same pace over plain TCP.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.messages import sound_of
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.worker import Worker, serve_worker
from ditto_avatar.face.pack import find_avatars, load_avatar
from ditto_avatar.memory import keep_for_good
from ditto_avatar.types import frames_for
from tests.fakes.engines import LoudnessFace

FRAMES = 5
"""Pictures of a fragment."""


class TransportWorker(Worker):
    """Answer for a face that takes no time."""

    def __init__(self, packs: Path, places: int, size: int, every_s: float) -> None:
        avatars = [load_avatar(path) for path in find_avatars(packs)]
        super().__init__(LoudnessFace(), WorkerPacks(avatars, LoudnessFace().prepare), places, None)
        self._filling = bytes(size - 8)
        self._every_s = every_s

    async def draw(self, ups: AsyncIterator[pb.Up], context: Any) -> AsyncIterator[pb.Pictures]:
        """Send the fragments of one sentence."""
        samples = 0
        async for up in ups:
            step = up.WhichOneof("step")
            if step == "open":
                yield pb.Pictures(loop=[0])
            elif step == "sound":
                samples += len(sound_of(up.sound).samples)
            elif step == "flush":
                break
        frames = frames_for(samples)
        sent = 0
        async for data in self._made(frames // FRAMES):
            sent += FRAMES
            yield pb.Pictures(idle_frames=[0] * FRAMES, fragments=[data], last=sent == frames)

    async def send_plainly(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send as many fragments as the caller asks for."""
        (count,) = struct.unpack("<I", await reader.readexactly(4))
        async for data in self._made(count):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _made(self, count: int) -> AsyncIterator[bytes]:
        """Yield fragments at their pace, each when it is due."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(count):
            due += self._every_s
            await asyncio.sleep(due - loop.time())
            yield struct.pack("<q", time.monotonic_ns()) + self._filling


def latency_ms(fragment: bytes) -> float:
    """How long ago the fragment was made, in milliseconds: one clock for all of this machine."""
    (made_ns,) = struct.unpack_from("<q", fragment)
    return float(time.monotonic_ns() - made_ns) / 1e6


async def serve(worker: TransportWorker, port: int, plain_port: int) -> None:
    """Serve both ports until SIGTERM."""
    plain = await asyncio.start_server(worker.send_plainly, "127.0.0.1", plain_port)
    keep_for_good()
    async with plain:
        await serve_worker(worker, f"127.0.0.1:{port}", 1)


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    port, plain_port, places, size, every_ms = map(int, numbers)
    drawing = TransportWorker(Path(folder), places, size, every_ms / 1000)
    asyncio.run(serve(drawing, port, plain_port))
