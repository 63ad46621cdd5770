"""One sentence on its way out: pictures and sound become fragments, then a clip on disk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ditto_avatar.clock import Clock
from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline.cache import CacheKey, SegmentMedia
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, FloatArray, VideoFrame

T = TypeVar("T")


class Sound:
    """Samples (n,) at 16 kHz that grow. Apart from the segment, so that whoever compares the
    microphone with it does not keep the pictures as well."""

    __slots__ = ("samples",)

    def __init__(self) -> None:
        self.samples: FloatArray = np.zeros(0, np.float32)

    def so_far(self) -> FloatArray:
        """All of them until now."""
        return self.samples

    def add(self, samples: FloatArray) -> None:
        """Append samples (n,)."""
        self.samples = np.concatenate((self.samples, samples))


@dataclass(slots=True)
class Segment:
    """A sentence while it is spoken and drawn.

    The speaking task adds sound and at last closes it; the drawing task adds pictures. Picture
    ``i`` segments samples ``640 i`` to ``640 (i + 1)``; after `close` the segment is complete when
    as many pictures were drawn as the sound is long. `key` names it in the cache; None keeps it
    out.
    """

    id: str
    index: int
    sentence: Sentence
    key: CacheKey | None
    encoder: FragmentEncoder
    executor: Executor
    frames: int | None = None
    drawn: int = 0
    first_frame: int = 0
    last_frame: int = 0
    fragments: list[Fragment] = field(default_factory=list)
    sound: Sound = field(default_factory=Sound)
    _running: asyncio.Future[list[Fragment]] | None = None

    @property
    def audio(self) -> FloatArray:
        """All samples so far, (n,)."""
        return self.sound.samples

    @property
    def seconds(self) -> float:
        """Length of what was drawn."""
        return self.drawn / FRAME_RATE_HZ

    @property
    def complete(self) -> bool:
        """Whether every picture that the sound asks for has been drawn."""
        return self.frames is not None and self.drawn >= self.frames

    def add_audio(self, samples: FloatArray) -> None:
        """Sound to be drawn next."""
        self.sound.add(samples)

    def close(self) -> int:
        """The sentence is spoken, a last partial frame is filled with silence; how many pictures
        it will have."""
        missing = -len(self.audio) % SAMPLES_PER_FRAME
        if missing:
            self.add_audio(np.zeros(missing, np.float32))
        self.frames = len(self.audio) // SAMPLES_PER_FRAME
        return self.frames

    async def draw(self, frame: VideoFrame) -> list[Fragment]:
        """Encode the next picture with its sound; the fragments it completed."""
        start = self.drawn * SAMPLES_PER_FRAME
        samples = self.audio[start : start + SAMPLES_PER_FRAME]
        if len(samples) < SAMPLES_PER_FRAME:
            samples = np.pad(samples, (0, SAMPLES_PER_FRAME - len(samples)))
        if self.drawn == 0:
            self.first_frame = frame.idle_frame
        self.last_frame = frame.idle_frame
        made = await self._run(lambda: self.encoder.encode(frame.yuv, samples))
        # Only now: whoever sees the segment complete finishes its encoder.
        self.drawn += 1
        return made

    def media(self) -> SegmentMedia:
        """The finished sentence as it can be kept and played again."""
        return SegmentMedia(tuple(self.fragments), self.audio, self.first_frame, self.last_frame)

    async def finish(self) -> list[Fragment]:
        """The fragments that remain once the segment is complete."""
        return await self._run(self.encoder.finish)

    def abandon(self) -> None:
        """Free the encoder of a segment that will not be finished, after what runs in it."""
        if self._running is None or self._running.done():
            self.executor.submit(self.encoder.abandon)
        else:
            self._running.add_done_callback(lambda _: self.executor.submit(self.encoder.abandon))

    async def _run(self, work: Callable[[], list[Fragment]]) -> list[Fragment]:
        # Shielded: a cancelled wait must not leave two threads in one encoder.
        loop = asyncio.get_running_loop()
        while self._running is not None and not self._running.done():
            await asyncio.wait([self._running])
        self._running = loop.run_in_executor(self.executor, work)
        made = await asyncio.shield(self._running)
        self.fragments.extend(made)
        return made


class Pace:
    """Keeps a stream from running far ahead of its viewers: what was drawn and never seen
    is lost work after an interruption, and takes time from those who wait for a first picture."""

    def __init__(self, clock: Clock, lead_s: float) -> None:
        self._clock = clock
        self._lead_s = lead_s
        # When media time 0 was playing, had the viewer never waited since.
        self._began = -math.inf

    async def wait(self, media_s: float) -> None:
        """Return when media time `media_s`, up to which all was handed over, is at most the lead
        ahead of the viewer. Cancelling is safe."""
        # Nobody plays what is not there: where the viewer ran dry, it waits at `media_s`.
        self._began = max(self._began, self._clock.now() - media_s)
        await self._clock.sleep_until(self._began + media_s - self._lead_s)
