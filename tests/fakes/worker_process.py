"""A worker in a process of its own that can be killed and hung: it takes its time for each picture.

python -m tests.fakes.worker_process PORT PLACES PICTURE_MS PACKS [TOKEN]
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ditto_avatar import event_loop
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.worker import Worker, serve_worker
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import open_library
from ditto_avatar.types import VideoFrame
from tests.fakes.engines import LoudnessFace, LoudnessStream

if TYPE_CHECKING:
    from collections.abc import Iterator


class TimedFace(LoudnessFace):
    """Draw like `LoudnessFace`, one picture every `picture_ms`."""

    def __init__(self, picture_ms: float) -> None:
        super().__init__()
        self.picture_ms = picture_ms

    async def open(self, avatar: Avatar, start_frame: int = 0) -> LoudnessStream:
        return TimedStream(self, avatar, start_frame, self.picture_ms / 1000)


class TimedStream(LoudnessStream):
    """Take that long for a picture."""

    def __init__(
        self, face: LoudnessFace, avatar: Avatar, start_frame: int, picture_s: float
    ) -> None:
        super().__init__(face, avatar, start_frame)
        self._picture_s = picture_s

    async def __aiter__(self) -> AsyncIterator[VideoFrame]:
        async for frame in super().__aiter__():
            await asyncio.sleep(self._picture_s)
            yield frame


@contextmanager
def worker_process(
    port: int, packs: Path, places: int = 4, picture_ms: float = 0, token: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one; killed at the end if it still runs."""
    arguments = [str(port), str(places), str(picture_ms), str(packs)]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.fakes.worker_process",
            *arguments,
            *([token] if token else []),
        ],
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def real_worker(
    port: int, folder: Path, host: str = "127.0.0.1", **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ditto-avatar worker` with the puppet, its data in `folder`; killed at the end."""
    program = "from ditto_avatar.cli import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "worker", "--host", host, "--port", str(port)],
        env={
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "DITTO_DATA_DIR": str(folder / f"data-{port}"),
            **environment,
        },
        cwd=folder,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def main() -> None:
    """Serve until SIGTERM."""
    port, places, picture_ms, packs, *rest = sys.argv[1:]
    library = await open_library(Path(packs))
    face = TimedFace(float(picture_ms))
    packs_here = WorkerPacks(library, face.prepare)
    worker = Worker(face, packs_here, int(places), rest[0] if rest else None)
    await serve_worker(worker, f"127.0.0.1:{port}", 10)


if __name__ == "__main__":
    event_loop.run(main())
