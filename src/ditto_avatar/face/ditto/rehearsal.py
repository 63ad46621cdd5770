"""How much of everything a machine does for viewers it does in a second: streams are played as fast
as they can be, from sound to fragments, and the frames are counted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from ditto_avatar.face.base import FaceStream
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, FloatArray

STREAMS = 16
FRAMES = 125
# Of what was counted; the rest absorbs uneven arrival.
USABLE_SHARE = 0.95


def streams_of(frames_per_s: float) -> int:
    """Return how many streams are admitted where so many frames are made in a second; at least
    one."""
    return max(1, int(USABLE_SHARE * frames_per_s / FRAME_RATE_HZ))


@dataclass(slots=True)
class Rehearsal:
    """Plays `streams` streams of `frames` frames each; `clock` gives seconds. What is counted lies
    between the moment at which every stream has shown a frame and the end of the first one."""

    clock: Callable[[], float]
    streams: int = STREAMS
    frames: int = FRAMES
    _made: int = 0
    _waiting: int = 0
    _from: tuple[float, int] | None = None
    _to: tuple[float, int] | None = None

    async def play(
        self, open_stream: Callable[[], Awaitable[FaceStream]], width: int, height: int
    ) -> float:
        """Return the frames that were made in a second, encoded as pictures of `width` × `height`
        pixels. Cancelling is safe: every stream is ended, and its encoder freed."""
        self._waiting = self.streams
        with ThreadPoolExecutor(os.cpu_count() or 1, "rehearse") as threads:
            async with asyncio.TaskGroup() as group:
                for number in range(self.streams):
                    group.create_task(self._view(open_stream, (width, height), threads, number))
        assert self._from is not None
        assert self._to is not None
        seconds = self._to[0] - self._from[0]
        return (self._to[1] - self._from[1]) / seconds if seconds > 0 else float("inf")

    async def _view(
        self,
        open_stream: Callable[[], Awaitable[FaceStream]],
        size: tuple[int, int],
        threads: ThreadPoolExecutor,
        number: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        stream = await open_stream()
        encoder = FragmentEncoder(*size)
        speaking = asyncio.create_task(_speak(stream, speech(self.frames, number)))
        silent = np.zeros(SAMPLES_PER_FRAME, np.float32)
        working: asyncio.Future[object] | None = None
        first = True
        try:
            async for frame in stream:
                working = loop.run_in_executor(threads, partial(encoder.encode, frame.yuv, silent))
                await asyncio.shield(working)
                self._count(first)
                first = False
            self._to = self._to or (self.clock(), self._made)
        finally:
            speaking.cancel()
            await stream.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            if working is not None:
                await asyncio.wait([working])
            await loop.run_in_executor(threads, encoder.abandon)

    def _count(self, first: bool) -> None:
        self._made += 1
        self._waiting -= first
        if self._waiting == 0 and self._from is None:
            self._from = (self.clock(), self._made)


def speech(frames: int, seed: int) -> FloatArray:
    """Return noise (640 `frames`,) that comes and goes as syllables do."""
    count = frames * SAMPLES_PER_FRAME
    noise = np.random.default_rng(seed).standard_normal(count)
    return (0.2 * noise * (np.sin(np.arange(count) / 3_000) > 0)).astype(np.float32)


async def _speak(stream: FaceStream, sound: FloatArray) -> None:
    await stream.push(sound)
    await stream.finish()
