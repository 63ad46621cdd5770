"""How many streams are admitted: what all stages were counted to do together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import FaceStream
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.rehearsal import Rehearsal, streams_of
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray, VideoFrame
from tests.face.ditto.test_engine import speech, timed, watch
from tests.fakes.clock import ManualClock


@pytest.mark.parametrize(("frames_per_s", "streams"), [(469, 17), (264, 10), (1, 1)])
def test_a_stream_takes_25_frames_a_second(frames_per_s: float, streams: int) -> None:
    assert streams_of(frames_per_s) == streams


@dataclass(frozen=True, slots=True)
class Stages:
    """The seconds that one device takes for a window of sound, a clip, and a frame."""

    window_s: float
    clip_s: float
    frame_s: float


class _Stream:
    """A stream on a device of given stage times: two windows and a clip for every ten frames. With
    `stuck` it gives one frame, and no more until it is cancelled."""

    def __init__(
        self, avatar: Avatar, clock: ManualClock, stages: Stages, *, stuck: bool = False
    ) -> None:
        self._size = (avatar.height * 3 // 2, avatar.width)
        self._clock = clock
        self._stages = stages
        self._stuck = stuck
        self._frames = 0
        self._pushed, self._over = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def push(self, audio: FloatArray) -> None:
        self._frames = 1 if self._stuck else len(audio) // SAMPLES_PER_FRAME
        self._pushed.set()

    async def finish(self) -> None:
        """Nothing more comes."""

    async def cancel(self) -> None:
        self.cancelled = True
        self._over.set()

    async def __aiter__(self) -> AsyncIterator[VideoFrame]:
        await self._pushed.wait()
        for index in range(self._frames):
            if index % 10 == 0:
                self._clock.advance(2 * self._stages.window_s + self._stages.clip_s)
            self._clock.advance(self._stages.frame_s)
            yield VideoFrame(index, 0, np.zeros(self._size, np.uint8))
        if self._stuck:
            await self._over.wait()


@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize(
    ("stages", "frames_per_s"),
    [
        (Stages(0.001, 0.002, 0.002), 10 / 0.024),
        (Stages(0.006, 0.002, 0.002), 10 / 0.034),
        (Stages(0.001, 0.012, 0.002), 10 / 0.034),
        (Stages(0.001, 0.002, 0.004), 10 / 0.044),
    ],
)
async def test_every_stage_counts(
    avatar: Avatar, stages: Stages, frames_per_s: float, streams: int
) -> None:
    clock = ManualClock()

    async def open_stream() -> FaceStream:
        return cast(FaceStream, _Stream(avatar, clock, stages))

    rehearsal = Rehearsal(clock.now, streams, frames=61)
    rate = await rehearsal.play(open_stream, avatar.width, avatar.height)
    assert rate == pytest.approx(frames_per_s, rel=0.05)


async def test_cancelling_ends_every_stream(avatar: Avatar) -> None:
    opened: list[_Stream] = []
    three = asyncio.Event()

    async def open_stream() -> FaceStream:
        opened.append(_Stream(avatar, ManualClock(), Stages(0, 0, 0), stuck=True))
        if len(opened) == 3:
            three.set()
        return cast(FaceStream, opened[-1])

    rehearsal = Rehearsal(ManualClock().now, streams=3)
    playing = asyncio.create_task(rehearsal.play(open_stream, avatar.width, avatar.height))
    await three.wait()
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert [stream.cancelled for stream in opened] == [True] * 3


class Counted:
    """A rehearsal that counts what it is given, once `ready` is set."""

    def __init__(self, frames_per_s: float) -> None:
        self.frames_per_s = frames_per_s
        self.begun, self.ready = asyncio.Event(), asyncio.Event()

    async def play(self, open_stream: object, width: int, height: int) -> float:
        self.begun.set()
        await self.ready.wait()
        return self.frames_per_s


def counting(
    models: DittoModels, options: DittoOptions, counted: Counted, frames_s: float = 0.0
) -> DittoEngine:
    clock = ManualClock()
    engine = DittoEngine(timed(models, clock, frames_s=frames_s), options, clock.now)
    engine.rehearsal = lambda: cast(Rehearsal, counted)
    return engine


async def test_an_engine_admits_what_was_counted(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    counted = Counted(200.0)
    counted.ready.set()
    engine = counting(models, options, counted)
    await engine.prepare(avatar)
    assert engine.max_streams == streams_of(200.0)
    await engine.close()
    engine = counting(models, replace(options, max_streams=2), counted)
    await engine.prepare(avatar)
    assert engine.max_streams == 2, "what was set is not counted"
    await engine.close()


async def test_the_real_one_plays_the_engine_from_sound_to_fragments(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    clock = ManualClock()
    engine = DittoEngine(timed(models, clock, frames_s=0.01), options, clock.now)
    engine.rehearsal = partial(Rehearsal, clock.now, streams=2, frames=20)
    before = engine.max_streams
    await engine.prepare(avatar)
    assert engine.max_streams != before
    assert engine.streams == 0
    assert not engine.strained
    await engine.close()


async def test_a_viewer_who_comes_ends_the_counting_and_it_is_done_when_he_has_gone(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    counted = Counted(300.0)
    engine = counting(models, options, counted)
    preparing = asyncio.create_task(engine.prepare(avatar))
    await counted.begun.wait()
    admitted = engine.max_streams
    stream = await engine.open(avatar)
    await preparing
    assert engine.max_streams == admitted != streams_of(300.0)
    counted.ready.set()
    await stream.cancel()
    await engine.prepare(avatar)
    assert engine.max_streams == streams_of(300.0)
    await engine.close()


async def test_a_device_that_became_slower_admits_fewer_until_it_is_counted_again(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    counted = Counted(100.0)
    counted.ready.set()
    engine = counting(models, replace(options, sampling_timesteps=8), counted, frames_s=0.5)
    await engine.prepare(avatar)
    assert engine.max_streams == 3
    late, admit_fewer = asyncio.Event(), engine._batch_runner.on_late

    def on_late() -> None:
        admit_fewer()
        late.set()

    engine._batch_runner.on_late = on_late
    streams = [await engine.open(avatar) for _ in range(2)]
    watching = [asyncio.create_task(watch(stream)) for stream in streams]
    for stream in streams:
        await stream.push(speech(20))
    for stream in streams:
        await stream.flush()
    await late.wait()
    assert engine.strained
    assert engine.max_streams == 1
    counted.frames_per_s = 75.0
    for stream in streams:
        await stream.cancel()
    await asyncio.gather(*watching)
    await engine.prepare(avatar)
    assert not engine.strained
    assert engine.max_streams == streams_of(75.0)
    await engine.close()
