"""The puppet as its callers see it: sound in, the right pictures out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ditto_avatar.errors import InvalidAudio, InvalidAvatar
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.audio_mouth import SoundMeter, VoicedFrame
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.stream import PuppetStream
from ditto_avatar.types import Emotion, FloatArray, Phoneme, SpeechChunk, VideoFrame, frames_for
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.packs import FRAMES, HEIGHT, WIDTH

Bytes = npt.NDArray[np.uint8]


def cut(speech: SpeechChunk, sizes: Sequence[int]) -> list[SpeechChunk]:
    """`speech` in pieces of `sizes` samples (repeated), each with the phonemes that begin in it."""
    pieces, start, turn = [], 0, 0
    while start < len(speech.samples):
        end = start + sizes[turn % len(sizes)]
        inside = [p for p in speech.phonemes if start <= p.start < end]
        moved = tuple(Phoneme(p.symbol, p.start - start, p.end - start, p.stressed) for p in inside)
        pieces.append(SpeechChunk(speech.samples[start:end], moved))
        start, turn = end, turn + 1
    return pieces


async def perform(
    engine: PuppetEngine,
    avatar: Avatar,
    pieces: Sequence[SpeechChunk],
    *,
    start_frame: int = 0,
    emotion: Emotion = Emotion.NEUTRAL,
) -> list[VideoFrame]:
    stream = await engine.open(avatar, start_frame)

    async def speak() -> None:
        for piece in pieces:
            await stream.push(piece.samples, piece.phonemes, emotion)
        await stream.finish()

    async with asyncio.TaskGroup() as group:
        group.create_task(speak())
        return [frame async for frame in stream]
    raise AssertionError("unreachable")


def redness(frame: VideoFrame) -> float:
    """How much of the mouth's surroundings is not lip or skin but dark or white: its opening."""
    mouth: Bytes = frame.yuv[190:225, 100:156]
    return float(((mouth < 75) | (mouth > 205)).mean())


async def test_frames_continue_the_idle_loop_and_cover_the_sound(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    frames = await perform(engine, oval, [speech], start_frame=FRAMES - 3)
    assert len(frames) == frames_for(len(speech.samples))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame.idle_frame for frame in frames[:5]] == [FRAMES - 3, FRAMES - 2, FRAMES - 1, 0, 1]
    assert frames[0].yuv.shape == (HEIGHT * 3 // 2, WIDTH)
    assert frames[0].yuv.dtype == np.uint8


async def test_the_pose_of_a_picture_is_known_before_it_is_drawn(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    stream = await engine.open(oval, FRAMES - 3)
    known = [stream.idle_frame(index) for index in range(5)]
    await stream.cancel()
    frames = await perform(engine, oval, [speech], start_frame=FRAMES - 3)
    assert known == [frame.idle_frame for frame in frames[:5]]


async def test_silence_shows_the_idle_loop_itself(engine: PuppetEngine, oval: Avatar) -> None:
    silence = SpeechChunk(np.zeros(16_000, np.float32))
    for frame in await perform(engine, oval, [silence], start_frame=7):
        assert np.array_equal(frame.yuv, oval.idle_frames[frame.idle_frame])


async def test_the_mouth_opens_on_vowels_and_closes_on_lips(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    frames = await perform(engine, oval, [speech])
    opening = np.array([redness(frame) for frame in frames])
    assert opening[10:14].max() > 0.15  # the first a
    assert opening[7] < 0.02  # m
    assert opening[15:18].min() < 0.02  # p
    assert opening[-6:].max() < 0.02  # silence again


async def test_the_last_frame_is_the_idle_loop_again(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    last = (await perform(engine, oval, [speech]))[-1]
    assert np.array_equal(last.yuv, oval.idle_frames[last.idle_frame])


@pytest.mark.parametrize("sizes", [[1], [160], [640], [1_000, 37, 5_000], [100_000]])
@pytest.mark.parametrize("phonetic", [True, False])
async def test_any_chunking_gives_the_same_frames(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk, sizes: list[int], phonetic: bool
) -> None:
    if not phonetic:
        speech = SpeechChunk(speech.samples)
    if sizes == [1]:
        # Every sample alone is the hardest chunking; one closure of it is enough.
        speech = SpeechChunk(speech.samples[:9_600], speech.phonemes[:2])
    whole = await perform(engine, oval, [speech], emotion=Emotion.HAPPY)
    pieces = await perform(engine, oval, cut(speech, sizes), emotion=Emotion.HAPPY)
    assert len(whole) == len(pieces)
    assert all(np.array_equal(a.yuv, b.yuv) for a, b in zip(whole, pieces, strict=True))


async def test_a_flush_shows_all_the_sound_so_far(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    stream = await engine.open(oval)
    frames = aiter(stream)
    await stream.push(speech.samples[:1_000])
    await stream.flush()
    assert [(await anext(frames)).index for _ in range(2)] == [0, 1]
    await stream.push(speech.samples[:640])
    await stream.finish()
    assert [frame.index async for frame in frames] == [2]


async def test_two_viewers_do_not_see_each_other(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    alone = await perform(engine, oval, [speech])
    silence = SpeechChunk(np.zeros(len(speech.samples), np.float32))
    together = await asyncio.gather(
        perform(engine, oval, [speech]), perform(engine, oval, [silence])
    )
    assert all(np.array_equal(a.yuv, b.yuv) for a, b in zip(alone, together[0], strict=True))
    assert np.array_equal(together[1][12].yuv, oval.idle_frames[12])


async def test_cancelling_ends_the_reader_and_frees_the_speaker(
    engine: PuppetEngine, oval: Avatar
) -> None:
    stream = await engine.open(oval)
    long = np.zeros(16_000 * 40, np.float32)
    await stream.push(long)
    waiting = asyncio.create_task(stream.push(long))
    frames = aiter(stream)
    await anext(frames)
    assert not waiting.done()  # the buffer is bounded
    await stream.cancel()
    await stream.cancel()
    await waiting
    assert [frame async for frame in frames] == []


async def test_a_slow_reader_is_not_drawn_for(engine: PuppetEngine, oval: Avatar) -> None:
    stream = await engine.open(oval)
    await stream.push(np.zeros(16_000 * 20, np.float32))
    frames = aiter(stream)
    await anext(frames)
    assert stream.drawn_ahead <= 12
    await stream.cancel()


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((2, 640), np.float32),
        np.zeros(640, np.int16),
        np.full(640, np.nan, np.float32),
        np.full(640, np.inf, np.float32),
    ],
)
async def test_unusable_sound_is_refused_and_the_performance_lives_on(
    engine: PuppetEngine, oval: Avatar, audio: FloatArray
) -> None:
    stream = await engine.open(oval)
    with pytest.raises(InvalidAudio, match="A face needs"):
        await stream.push(audio)
    await stream.push(np.zeros(640, np.float32))
    await stream.finish()
    assert len([frame async for frame in stream]) == 1


@pytest.mark.parametrize("count", [0, 1, 639, 641])
async def test_any_length_of_sound_gives_its_frames(
    engine: PuppetEngine, oval: Avatar, count: int
) -> None:
    frames = await perform(engine, oval, [SpeechChunk(np.zeros(count, np.float32))])
    assert len(frames) == frames_for(count)


async def test_clipped_and_endless_noise_gives_pictures(engine: PuppetEngine, oval: Avatar) -> None:
    noise = np.random.default_rng(1).normal(0, 3, 16_000).astype(np.float32)
    assert len(await perform(engine, oval, [SpeechChunk(noise)])) == 25


async def test_closing_the_engine_ends_what_still_runs(oval: Avatar) -> None:
    engine = PuppetEngine(workers=1)
    stream = await engine.open(oval)
    await stream.push(np.zeros(16_000, np.float32))
    await engine.close()
    assert [frame async for frame in stream] == []


async def test_a_broken_picture_reaches_the_reader_as_its_error() -> None:
    def broken(frame: int, pose: Pose) -> Bytes:
        raise ValueError("no picture")

    with ThreadPoolExecutor(1) as pool:
        stream = PuppetStream(Actor(), broken, pool, 10, 0)
        await stream.push(np.zeros(640, np.float32))
        await stream.finish()
        with pytest.raises(ValueError, match="no picture"):
            [frame async for frame in stream]


async def test_sound_is_measured_when_its_pictures_are_drawn_and_no_sooner(
    engine: PuppetEngine, oval: Avatar, speech: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = 0
    measure = SoundMeter.measure

    def counted(meter: SoundMeter, samples: FloatArray) -> VoicedFrame:
        nonlocal measured
        measured += 1
        return measure(meter, samples)

    monkeypatch.setattr(SoundMeter, "measure", counted)
    stream = await engine.open(oval)
    # Ten minutes in one go would hold the event loop up for seconds, and may never be shown.
    await stream.push(np.tile(speech.samples, 600 * 16_000 // len(speech.samples)))
    first = await anext(aiter(stream))
    assert first.index == 0
    await stream.cancel()
    assert 0 < measured < 100


class ColdFace:
    """An avatar whose preparation stops where its mouth is decoded, until it is let go."""

    def __init__(self, avatar: Avatar) -> None:
        assert avatar.atlas is not None
        self._patches = avatar.atlas.patches
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.times_built = 0
        self.avatar = replace(avatar, atlas=replace(avatar.atlas, patches=self._decode))

    def _decode(self) -> Bytes:
        self.times_built += 1
        self.begun.set()
        assert self.let_go.wait(TEST_DEADLINE_S)
        return self._patches()


@pytest.fixture
async def two_threads() -> AsyncIterator[PuppetEngine]:
    engine = PuppetEngine(workers=2)
    yield engine
    await engine.close()


async def test_two_cold_presenters_hold_up_nobody_who_draws(
    two_threads: PuppetEngine, oval: Avatar, speech: SpeechChunk
) -> None:
    await two_threads.prepare(oval)
    cold = [ColdFace(oval), ColdFace(oval)]
    opening = [asyncio.create_task(two_threads.open(face.avatar)) for face in cold]
    assert await asyncio.to_thread(cold[0].begun.wait, 60)
    # Both are chosen, none is ready, and a whole sentence is drawn meanwhile.
    async with asyncio.timeout(TEST_DEADLINE_S):
        frames = await perform(two_threads, oval, [speech])
    assert len(frames) == frames_for(len(speech.samples))
    assert not any(task.done() for task in opening)
    for face in cold:
        face.let_go.set()
    for stream in await asyncio.gather(*opening):
        await stream.cancel()


async def test_a_presenter_is_built_once_for_all_that_choose_it_and_one_that_gives_up(
    two_threads: PuppetEngine, oval: Avatar
) -> None:
    face = ColdFace(oval)
    first, second = (asyncio.create_task(two_threads.open(face.avatar)) for _ in range(2))
    assert await asyncio.to_thread(face.begun.wait, 60)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    face.let_go.set()
    await (await second).cancel()
    await (await two_threads.open(face.avatar)).cancel()
    assert face.times_built == 1


async def test_a_face_that_could_not_be_built_is_tried_again(
    two_threads: PuppetEngine, oval: Avatar
) -> None:
    tiny = replace(oval.arrays, neutral_landmarks=oval.arrays.neutral_landmarks * 0.01)
    small = replace(oval, arrays=tiny)
    for _ in range(2):
        with pytest.raises(InvalidAvatar):
            await two_threads.prepare(small)
