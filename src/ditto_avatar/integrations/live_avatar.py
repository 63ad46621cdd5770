"""An avatar that speaks whatever sound it is given: what all integrations share.

    avatar = LiveAvatar(pack, face, clock)
    await avatar.push(samples, rate_hz)   # as often as sound arrives
    await avatar.end()                    # the utterance is complete
    async for shown in avatar: ...        # 25 pictures a second, always

In between it shows its idle loop, and an utterance begins with the pose that the loop has then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import soxr

from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceEngine, FaceStream
from ditto_avatar.types import (
    FRAME_RATE_HZ,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    ByteArray,
    FloatArray,
)

# How far ahead of its time a picture is handed out.
_AHEAD_S = 0.1


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, I420 (height * 3 / 2, width), and its samples (640,) at 16 kHz; None while nothing
    is spoken. `last` marks the end of an utterance that was spoken to its end."""

    picture: ByteArray
    samples: FloatArray | None = None
    last: bool = False


@dataclass(slots=True, eq=False)
class _Utterance:
    """One utterance: its face stream, and its sound so far."""

    stream: FaceStream
    rate_hz: int
    resampler: soxr.ResampleStream
    samples: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    shown: int = 0
    complete: bool = False

    def sound_of(self, frame: int) -> FloatArray:
        start = frame * SAMPLES_PER_FRAME
        samples = self.samples[start : start + SAMPLES_PER_FRAME]
        return np.pad(samples, (0, SAMPLES_PER_FRAME - len(samples)))


class LiveAvatar:
    """Draw one avatar in real time. Belongs to the event loop; `face` stays the caller's."""

    def __init__(self, avatar: Avatar, face: FaceEngine, clock: Clock | None = None) -> None:
        self.avatar = avatar
        self._face = face
        self._clock = clock or SystemClock()
        self._utterance: _Utterance | None = None
        self._idle_frame = 0
        self._closed = False
        self._changing = asyncio.Lock()
        self._silent = asyncio.Event()
        self._silent.set()

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return self._utterance is not None

    @property
    def position_s(self) -> float:
        """How many seconds of the utterance were handed out."""
        return 0.0 if self._utterance is None else self._utterance.shown / FRAME_RATE_HZ

    async def push(self, samples: FloatArray, rate_hz: int) -> None:
        """Speak mono samples (n,) in -1..1 at `rate_hz`, after those before. Waits while the face
        is far behind. Raises what the face raises. Cancelling is safe: call `clear` then."""
        async with self._changing:
            utterance = self._utterance
            if utterance is None or utterance.complete:
                utterance = await self._begin(rate_hz)
            if utterance is None:
                return
            made = utterance.resampler.resample_chunk(samples.astype(np.float32))
        await self._add(utterance, made)

    async def end(self) -> None:
        """Complete the utterance; without one, nothing happens. Cancelling is safe."""
        utterance = self._utterance
        if utterance is None or utterance.complete:
            return
        utterance.complete = True
        rest = utterance.resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        await self._add(utterance, rest)
        await utterance.stream.finish()

    async def spoken(self) -> None:
        """Return once nothing is spoken any more: an utterance was shown to its end, or stopped.
        Somebody has to iterate meanwhile. Cancelling is safe."""
        await self._silent.wait()

    async def clear(self) -> float:
        """Stop the utterance at once; the seconds of it that were handed out. Cancelling is safe:
        nothing more of it is shown."""
        utterance = self._utterance
        self._leave()
        if utterance is None:
            return 0.0
        await utterance.stream.cancel()
        return utterance.shown / FRAME_RATE_HZ

    async def close(self) -> None:
        """Stop for good; the iteration ends."""
        self._closed = True
        await self.clear()

    async def __aiter__(self) -> AsyncIterator[Shown]:
        """Yield 25 pictures a second until `close`, a tenth of a second ahead at most."""
        started, count = self._clock.now(), 0
        while not self._closed:
            utterance = self._utterance
            shown = self._idle() if utterance is None else await self._next_of(utterance)
            if shown is None:
                continue
            due = started + count / FRAME_RATE_HZ
            if self._clock.now() > due + _AHEAD_S:
                started, count = self._clock.now(), 0  # behind: nothing is shown faster for it
            count += 1
            await self._clock.sleep_until(due - _AHEAD_S)
            if utterance is self._utterance or shown.last:
                yield shown

    async def _begin(self, rate_hz: int) -> _Utterance | None:
        """Open the next utterance; None where the avatar was closed meanwhile."""
        # The sound of an utterance that follows at once waits for the end of the one before.
        await self._silent.wait()
        if self._closed:
            return None
        stream = await self._face.open(self.avatar, self._idle_frame)
        if self._closed:
            await stream.cancel()
            return None
        self._silent.clear()
        resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        self._utterance = _Utterance(stream, rate_hz, resampler)
        return self._utterance

    async def _add(self, utterance: _Utterance, samples: FloatArray) -> None:
        if len(samples):
            utterance.samples = np.concatenate((utterance.samples, samples))
            await utterance.stream.push(samples)

    def _leave(self) -> None:
        self._utterance = None
        self._silent.set()

    def _idle(self) -> Shown:
        picture = self.avatar.idle_frames[self._idle_frame]
        self._idle_frame = (self._idle_frame + 1) % self.avatar.frame_count
        return Shown(picture)

    async def _next_of(self, utterance: _Utterance) -> Shown | None:
        """The next picture of an utterance; None where it was stopped meanwhile."""
        frame = await anext(aiter(utterance.stream), None)
        if frame is None:
            if self._utterance is not utterance:
                return None
            self._leave()
            idle = self._idle()
            return Shown(idle.picture, None, last=True)
        self._idle_frame = (frame.idle_frame + 1) % self.avatar.frame_count
        sound = utterance.sound_of(utterance.shown)
        utterance.shown += 1
        return Shown(frame.yuv, sound)
