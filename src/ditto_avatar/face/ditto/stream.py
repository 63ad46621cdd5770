"""One viewer's face: sound comes in, frames go out, the motion goes on between sentences."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ditto_avatar.face.ditto.audio import HOP, SoundWindows
from ditto_avatar.face.ditto.batch_runner import BatchRunner, PictureJob
from ditto_avatar.face.ditto.condition import AUDIO, condition_rows, emotion_row
from ditto_avatar.face.ditto.deadlines import Deadlines
from ditto_avatar.face.ditto.driving import Driver
from ditto_avatar.face.ditto.layout import IndexArray, mirror_index
from ditto_avatar.face.ditto.pipeline import ClipJob
from ditto_avatar.face.ditto.sampler import Noise
from ditto_avatar.face.ditto.source_frames import SourceFrames
from ditto_avatar.face.ditto.windows import MotionStream
from ditto_avatar.face.sound import checked_audio
from ditto_avatar.types import (
    SAMPLES_PER_FRAME,
    Emotion,
    FloatArray,
    Phoneme,
    VideoFrame,
    frames_for,
)

UNREAD_FRAMES = 25  # drawn and not fetched: then drawing waits
UNHEARD_FRAMES = 1_500  # pushed and not fetched: then pushing waits
SEAM_FRAMES = 10


class _Mark(Enum):
    FLUSH = "flush"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class _Sound:
    samples: FloatArray
    emotion: FloatArray  # (8,)


@dataclass(frozen=True, slots=True)
class Walk:
    """Which idle frame each frame is drawn from: on through the loop, or, where only `window`
    frames are used, forwards and backwards over the ones from `start` on."""

    start: int
    count: int
    window: int

    def __call__(self, frames: IndexArray) -> IndexArray:
        if 0 < self.window < self.count:
            frames = mirror_index(frames, self.window)
        return (self.start + frames) % self.count


class EmotionTrack:
    """Which emotion belongs to which sample."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._rows: list[FloatArray] = []

    def add(self, samples: int, row: FloatArray) -> None:
        self._ends.append((self._ends[-1] if self._ends else 0) + samples)
        self._rows.append(row)

    def rows(self, first: int, count: int) -> FloatArray:
        """The shares (count, 8) at the beginning of each frame."""
        starts = (first + np.arange(count)) * SAMPLES_PER_FRAME
        index = np.searchsorted(self._ends, starts, side="right")
        return np.stack(self._rows)[np.minimum(index, len(self._rows) - 1)]


class DittoStream:
    """See `ditto_avatar.face.base.FaceStream`."""

    def __init__(
        self,
        owner: int,
        batch_runner: BatchRunner,
        source_frames: SourceFrames,
        walk: Walk,
        driver: Driver,
        sound: SoundWindows,
        motion: MotionStream,
        noise: Noise,
        clock: Callable[[], float],
        closed: Callable[[int], None],
    ) -> None:
        self._owner = owner
        self._batch_runner = batch_runner
        self._source_frames = source_frames
        self._walk = walk
        self._driver = driver
        self._sound = sound
        self._motion = motion
        self._noise = noise
        self._clock = clock
        self._closed = closed
        self._deadlines = Deadlines()
        self._emotions = EmotionTrack()
        self._drawn = 0
        self._seam: FloatArray | None = None  # the last row shown ahead of its sound
        self._drift: FloatArray | None = None  # what was shown there, minus what is right
        self._drift_from = 0
        self._inbox: asyncio.Queue[_Sound | _Mark] = asyncio.Queue()
        self._frames: asyncio.Queue[VideoFrame | Exception | None] = asyncio.Queue(UNREAD_FRAMES)
        self._room = asyncio.Condition()
        self._pushed = 0
        self._fetched = 0
        self._ended = False
        self._cancelled = False
        self._task = asyncio.create_task(self._run(), name=f"ditto stream {owner}")

    # The protocol ------------------------------------------------------------------------

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        """Add samples (n,); the phonemes are not needed. Waits while the reader is a minute
        behind. Raises `InvalidAudio`."""
        samples = checked_audio(audio)
        if self._ended or not len(samples):
            return
        async with self._room:
            await self._room.wait_for(
                lambda: self._ended or frames_for(self._pushed) - self._fetched < UNHEARD_FRAMES
            )
        self._pushed += len(samples)
        self._inbox.put_nowait(_Sound(samples, emotion_row([emotion], intensity)))

    async def flush(self) -> None:
        self._inbox.put_nowait(_Mark.FLUSH)
        self._pushed = frames_for(self._pushed) * SAMPLES_PER_FRAME

    async def finish(self) -> None:
        self._inbox.put_nowait(_Mark.FINISH)

    def idle_frame(self, index: int) -> int:
        return int(self._walk(np.array([index]))[0])

    async def cancel(self) -> None:
        if self._cancelled:
            return
        self._cancelled = self._ended = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._batch_runner.forget(self._owner)
        self._closed(self._owner)
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)
        async with self._room:
            self._room.notify_all()

    async def __aiter__(self) -> AsyncIterator[VideoFrame]:
        while (frame := await self._frames.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            async with self._room:
                self._fetched += 1
                self._room.notify_all()
            yield frame

    # The work ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                item = await self._inbox.get()
                if isinstance(item, _Sound):
                    await self._hear(item)
                    continue
                await self._show_owed()
                if item is _Mark.FINISH:
                    break
            await self._frames.put(None)
        except Exception as error:  # the border of the task: the reader gets the error
            self._batch_runner.forget(self._owner)
            await self._frames.put(error)
            await self._frames.put(None)
        finally:
            self._ended = True
            self._closed(self._owner)

    async def _hear(self, sound: _Sound) -> None:
        """Listen in small pieces and draw after each: a long push keeps neither its own viewer
        waiting nor others, and ends early when it is cancelled."""
        self._emotions.add(len(sound.samples), sound.emotion)
        first = 0
        while first < len(sound.samples):
            # The first pictures are wanted soonest; later several windows are one batch.
            size = HOP * (self._batch_runner.windows_at_once if self._drawn else 1)
            await self._listen(sound.samples[first : first + size])
            first += size

    async def _listen(self, samples: FloatArray) -> None:
        self._extend(self._motion, await self._features(self._sound.push(samples)))
        await self._advance(self._motion)

    async def _features(self, windows: Sequence[FloatArray]) -> FloatArray:
        """Features (5 k, 1024) of k windows; wanted when the next frame is."""
        if windows:
            self._count_from_now()
        return await self._batch_runner.encode(
            self._owner, self._deadlines.of(self._drawn), windows
        )

    def _extend(self, motion: MotionStream, rows: FloatArray) -> None:
        if len(rows):
            motion.push(self._conditions(motion, rows))

    def _conditions(self, motion: MotionStream, rows: FloatArray) -> FloatArray:
        first = motion.received
        emotions = self._emotions.rows(first, len(rows))
        source = self._source_frames.registration.motion
        return condition_rows(rows, emotions, first, source, self._walk)

    async def _advance(self, motion: MotionStream, final: bool = False) -> None:
        """Predict every clip there is sound for, and draw what each of them adds."""
        self._count_from_now()
        while (request := motion.request()) is not None:
            due = self._deadlines.of(self._drawn)
            job = ClipJob(request, self._noise)
            motion.add(await self._batch_runner.predict(self._owner, due, job))
            if self._driver.rest is None:
                self._driver.rest = motion.rest
            first = motion.shown
            await self._draw(motion.take(final), first)
            self._count_from_now()
        first = motion.shown
        await self._draw(motion.take(final), first)

    async def _show_owed(self) -> None:
        """Draw every frame of the sound so far, the rest of it on copies of the streams: sound
        that comes later finds the streams as they were."""
        missing = -self._sound.received % SAMPLES_PER_FRAME
        if missing:
            silent = np.zeros(missing, np.float32)
            self._emotions.add(missing, self._emotions.rows(motion_end(self._sound), 1)[0])
            await self._listen(silent)
        if self._drawn >= self._sound.received // SAMPLES_PER_FRAME:
            return
        motion = self._motion.copy()
        windows, owed = self._sound.copy().finish()
        self._extend(motion, (await self._features(windows))[:owed])
        await self._advance(motion)
        if motion.missing:
            after = np.repeat(motion.conditions[-1:, :AUDIO], motion.missing, axis=0)
            motion.pad(self._conditions(motion, after))
            await self._advance(motion, final=True)

    def _count_from_now(self) -> None:
        """Work begins that was not possible before: there was no sound, or no room."""
        self._deadlines.start_no_earlier(self._clock(), self._drawn, self._frames.qsize())

    async def _draw(self, rows: FloatArray, first: int) -> None:
        """Draw motion rows (m, 265) of the frames from `first` on, but for those shown before."""
        rows = self._joined(rows, first)
        skip = self._drawn - first
        if skip >= len(rows):
            return
        rows = rows[max(skip, 0) :]
        frames = self._drawn + np.arange(len(rows))
        index = self._walk(frames)
        source, driving = self._driver.drive(rows, index)
        still = self._source_frames.registration.keypoints
        works = [
            PictureJob(int(i), x_s if still is None else still, x_d)
            for i, x_s, x_d in zip(index, source, driving, strict=True)
        ]
        pictures = await self._batch_runner.draw(
            self._owner,
            self._source_frames,
            [self._deadlines.of(int(frame)) for frame in frames],
            works,
        )
        for frame, idle, picture in zip(frames, index, pictures, strict=True):
            await self._frames.put(VideoFrame(int(frame), int(idle), picture))
        self._drawn += len(rows)
        self._seam = rows[-1]

    def _joined(self, rows: FloatArray, first: int) -> FloatArray:
        """Join `rows` to frames that were drawn ahead of their sound: begin where those ended, and
        fade to the model's rows within a few frames."""
        before = self._drawn - 1 - first
        if 0 <= before < len(rows) and self._seam is not None:
            self._drift, self._drift_from = self._seam - rows[before], self._drawn
        if self._drift is None:
            return rows
        passed = first + np.arange(len(rows)) - self._drift_from + 1
        share = np.clip(1 - passed / (SEAM_FRAMES + 1), 0, 1).astype(np.float32)
        share[passed <= 0] = 1
        return rows + share[:, None] * self._drift


def motion_end(sound: SoundWindows) -> int:
    """The frame that the last sample pushed belongs to."""
    return max(sound.received - 1, 0) // SAMPLES_PER_FRAME
