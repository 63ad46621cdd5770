"""Performances: sound in pieces becomes frames, sentence by sentence, viewer by viewer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from ditto_avatar.errors import Busy, InvalidAudio, InvalidAvatar, ShuttingDown
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.face.ditto.load_controller import Capacity, Quality
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.registration import FEATURES_FILE, registered
from ditto_avatar.face.ditto.stream import UNREAD_FRAMES, DittoStream
from ditto_avatar.face.idle import IdleMemory
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import Emotion, FloatArray, VideoFrame
from tests.fakes import packs
from tests.fakes.clock import ManualClock

FRAME = 640
Result = TypeVar("Result")


def speech(frames: float, seed: int = 0) -> FloatArray:
    """Something that sounds, with pauses."""
    count = int(frames * FRAME)
    noise = np.random.default_rng(seed).standard_normal(count)
    return (0.2 * noise * (np.sin(np.arange(count) / 3_000) > 0)).astype(np.float32)


@pytest.fixture
async def engine(models: DittoModels, options: DittoOptions) -> AsyncIterator[DittoEngine]:
    engine = DittoEngine(models, options)
    yield engine
    await engine.close()


async def watch(stream: DittoStream) -> list[VideoFrame]:
    return [frame async for frame in stream]


async def perform(
    stream: DittoStream,
    pieces: Sequence[FloatArray],
    *,
    sentences: bool = False,
    emotion: Emotion = Emotion.NEUTRAL,
) -> list[VideoFrame]:
    """All frames of sound that is pushed in pieces, each a sentence if asked for."""
    watching = asyncio.create_task(watch(stream))
    for piece in pieces:
        await stream.push(piece, emotion=emotion)
        if sentences:
            await stream.flush()
    await stream.finish()
    return await watching


def pictures(frames: Sequence[VideoFrame]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.stack([frame.yuv for frame in frames]).astype(np.int64)


async def test_every_started_frame_of_sound_is_drawn(engine: DittoEngine, avatar: Avatar) -> None:
    frames = await perform(await engine.open(avatar), [speech(33.4)])
    assert [frame.index for frame in frames] == list(range(34))
    assert all(frame.yuv.shape == (480, 256) for frame in frames)


async def test_the_first_picture_continues_the_idle_loop(
    engine: DittoEngine, avatar: Avatar
) -> None:
    stream = await engine.open(avatar, start_frame=7)
    known = [stream.idle_frame(index) for index in range(8)]
    frames = await perform(stream, [speech(7)])
    assert [frame.idle_frame for frame in frames] == [7, 8, 9, 9, 8, 7, 7]
    assert known == [7, 8, 9, 9, 8, 7, 7, 8]


async def test_the_whole_idle_loop_is_used_where_quality_is_asked_for(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, replace(options, template_n_frames=-1))
    frames = await perform(await engine.open(avatar, start_frame=9), [speech(6)])
    assert [frame.idle_frame for frame in frames] == [9, 10, 11, 0, 1, 2]
    await engine.close()


async def test_the_mouth_follows_the_sound(models: DittoModels, options: DittoOptions) -> None:
    """The same stream with other sound draws other pictures."""
    drawn = []
    for seed in (1, 1, 2):
        engine = DittoEngine(models, options)
        drawn.append(
            pictures(await perform(await engine.open(packed(options)), [speech(12, seed)]))
        )
        await engine.close()
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def packed(options: DittoOptions) -> Avatar:
    folder = options.checkpoints / "oval"
    if not folder.exists():
        packs.make_pack(folder, frames=4, atlas=False, blendshapes=False)
    # Nothing of the loop is kept, so that a test can break it.
    return load_avatar(folder, IdleMemory(0))


async def test_sound_in_any_pieces_gives_the_same_pictures(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    sound, drawn = speech(30), []
    for size in (len(sound), 5_000, 333):
        engine = DittoEngine(models, options)
        pieces = [sound[first : first + size] for first in range(0, len(sound), size)]
        drawn.append(pictures(await perform(await engine.open(avatar), pieces)))
        await engine.close()
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])


async def test_a_sentence_is_drawn_before_it_is_complete(
    engine: DittoEngine, avatar: Avatar
) -> None:
    stream = await engine.open(avatar)
    await stream.push(speech(40))
    first = await anext(aiter(stream))
    assert first.index == 0
    await stream.cancel()


async def test_a_flush_draws_all_that_is_owed(engine: DittoEngine, avatar: Avatar) -> None:
    stream = await engine.open(avatar)
    await stream.push(speech(9.5))
    await stream.flush()
    frames = aiter(stream)
    assert [(await anext(frames)).index for _ in range(10)] == list(range(10))
    await stream.cancel()


async def test_sentences_continue_each_other_without_a_jump(
    engine: DittoEngine, avatar: Avatar
) -> None:
    sound = speech(60)
    pieces = [sound[: 30 * FRAME], sound[30 * FRAME :]]
    frames = await perform(await engine.open(avatar), pieces, sentences=True)
    assert [frame.index for frame in frames] == list(range(60))
    moves = np.abs(np.diff(pictures(frames), axis=0)).mean(axis=(1, 2))
    # Between frames of one idle frame nothing but the motion changes the picture.
    same = [i for i in range(59) if frames[i].idle_frame == frames[i + 1].idle_frame]
    usual = max(moves[i] for i in same if i != 29)
    assert frames[29].idle_frame == frames[30].idle_frame
    assert moves[29] <= usual


async def test_a_flush_inside_the_sound_changes_only_what_was_not_yet_heard(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    """Frames far enough from the flush are those of the same sound without one."""
    sound, drawn = speech(80), []
    pieces = [sound[: 30 * FRAME], sound[30 * FRAME :]]
    for sentences in (False, True):
        engine = DittoEngine(models, options)
        stream = await engine.open(avatar)
        drawn.append(pictures(await perform(stream, pieces, sentences=sentences)))
        await engine.close()
    assert np.array_equal(drawn[0][:10], drawn[1][:10])
    assert np.array_equal(drawn[0][42:70], drawn[1][42:70])


async def test_emotions_change_the_face(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    drawn = []
    for emotion in (Emotion.NEUTRAL, Emotion.ANGRY):
        engine = DittoEngine(models, options)
        stream = await engine.open(avatar)
        drawn.append(pictures(await perform(stream, [speech(20)], emotion=emotion)))
        await engine.close()
    assert not np.array_equal(drawn[0], drawn[1])


async def test_cancelling_ends_the_iteration_and_frees_the_place(
    engine: DittoEngine, avatar: Avatar
) -> None:
    stream = await engine.open(avatar)
    watching = asyncio.create_task(watch(stream))
    await stream.push(speech(200))
    await stream.cancel()
    await stream.cancel()
    assert len(await watching) < 200
    assert engine.streams == 0
    await stream.push(speech(10))


async def test_a_slow_reader_holds_up_nobody_else(engine: DittoEngine, avatar: Avatar) -> None:
    slow, quick = await engine.open(avatar), await engine.open(avatar)
    await slow.push(speech(100))
    assert len(await perform(quick, [speech(50)])) == 50
    assert slow._frames.qsize() <= UNREAD_FRAMES
    await slow.cancel()


async def test_viewers_at_the_same_time_get_what_they_get_alone(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, options)
    both = [await engine.open(avatar), await engine.open(avatar)]
    sounds = [[speech(21, 1)], [speech(21, 2)]]
    together = await asyncio.gather(*map(perform, both, sounds))
    await engine.close()
    engine = DittoEngine(models, options)
    for sound, shared in zip(sounds, together, strict=True):
        alone = await perform(await engine.open(avatar), sound)
        # In a batch sums are added in another order: a grey level may round the other way.
        assert np.abs(pictures(alone) - pictures(shared)).max() <= 1
    await engine.close()


@pytest.fixture
async def small(models: DittoModels, options: DittoOptions) -> AsyncIterator[DittoEngine]:
    """An engine with one place."""
    engine = DittoEngine(models, replace(options, max_streams=1))
    yield engine
    await engine.close()


async def test_an_idle_loop_that_breaks_fails_its_own_viewer_only(
    engine: DittoEngine, options: DittoOptions, avatar: Avatar
) -> None:
    broken = packed(options)
    both = [await engine.open(broken), await engine.open(avatar)]
    broken.idle_path.write_bytes(b"no video any more")
    results = await asyncio.gather(
        *(perform(stream, [speech(12)]) for stream in both), return_exceptions=True
    )
    assert isinstance(results[0], InvalidAvatar)
    assert isinstance(results[1], list)
    assert len(results[1]) == 12
    assert engine.streams == 0


async def test_a_full_engine_says_so(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, replace(options, max_streams=1), wait_s=0)
    assert engine.max_streams == 1
    first = await engine.open(avatar)
    with pytest.raises(Busy, match="All 1 places"):
        await engine.open(avatar)
    await first.cancel()
    await (await engine.open(avatar)).cancel()
    await engine.close()


async def test_a_performance_waits_for_the_place_of_the_one_before(
    small: DittoEngine, avatar: Avatar
) -> None:
    """As within a turn: the next one is opened while the last one is still drawn."""
    first = await small.open(avatar)
    watching = asyncio.create_task(watch(first))
    await first.push(speech(12))
    await first.finish()
    second = await small.open(avatar)
    assert len(await watching) == 12
    assert len(await perform(second, [speech(3)])) == 3


async def test_at_no_time_are_there_more_performances_than_places(
    small: DittoEngine, avatar: Avatar
) -> None:
    opening = [asyncio.create_task(small.open(avatar)) for _ in range(3)]
    for count in (3, 2, 1):
        done, waiting = await asyncio.wait(opening, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(waiting), small.streams) == (1, count - 1, 1)
        assert done == {opening[0]}, "first come, first served"
        await opening.pop(0).result().cancel()


async def test_who_stops_waiting_takes_no_place(small: DittoEngine, avatar: Avatar) -> None:
    first = await small.open(avatar)
    impatient = asyncio.create_task(small.open(avatar))
    patient = asyncio.create_task(small.open(avatar))
    await asyncio.wait([impatient, patient], timeout=0)
    impatient.cancel()
    await first.cancel()
    second = await patient
    assert impatient.cancelled()
    assert small.streams == 1
    await second.cancel()


async def test_a_place_is_not_lost_to_an_avatar_that_cannot_be_drawn(
    small: DittoEngine, avatar: Avatar, options: DittoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(packs, "draw", lambda points: np.full((320, 256, 3), 128, np.uint8))
        faceless = packed(options)
    with pytest.raises(InvalidAvatar):
        await small.open(faceless)
    await (await small.open(avatar)).cancel()


async def test_a_closing_engine_refuses_those_in_line(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, replace(options, max_streams=1))
    await engine.open(avatar)
    waiting = asyncio.create_task(engine.open(avatar))
    await asyncio.wait([waiting], timeout=0)
    await engine.close()
    with pytest.raises(ShuttingDown):
        await waiting


def timed(
    models: DittoModels,
    clock: ManualClock,
    *,
    frames_s: float = 0,
    clips_s: float = 0,
    window_s: float = 0,
) -> DittoModels:
    """A device that takes that long for a batch of frames and of clips, and sound that comes at
    that pace: a window brings five frames."""

    def taking(seconds: float, call: Callable[..., Result]) -> Callable[..., Result]:
        def slowly(*inputs: object) -> Result:
            clock.advance(seconds)
            return call(*inputs)

        return slowly

    runners = replace(
        models.runners,
        frame=taking(frames_s, models.runners.frame),
        clip=taking(clips_s, models.runners.clip),
    )
    encode = taking(window_s, models.encode)
    return replace(models, runners=runners, encode=encode, capacity=Capacity(1e-3, 1e-3))


async def quality_after(
    models: DittoModels, options: DittoOptions, clock: ManualClock, avatar: Avatar
) -> tuple[Quality, Quality]:
    """The quality before and after six seconds of speech."""
    options = replace(options, sampling_timesteps=8)
    engine = DittoEngine(models, options, clock.now)
    before = engine.quality
    assert len(await perform(await engine.open(avatar), [speech(150)])) == 150
    after = engine.quality
    await engine.close()
    return before, after


async def test_sound_that_comes_as_it_is_spoken_costs_no_quality(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    """A frame can only be drawn when the sound of the following half second is there."""
    clock = ManualClock()
    live = timed(models, clock, window_s=0.2, frames_s=0.005, clips_s=0.01)
    before, after = await quality_after(live, options, clock, avatar)
    assert after == before


async def test_a_pause_of_ten_seconds_costs_no_quality(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    """Of 45 frames of sound 30 can be drawn; then nothing happens until more sound comes."""
    clock = ManualClock()
    quick = timed(models, clock, frames_s=0.005, clips_s=0.01)
    engine = DittoEngine(quick, replace(options, sampling_timesteps=8), clock.now)
    before = engine.quality
    stream = await engine.open(avatar)
    frames = aiter(stream)
    await stream.push(speech(45))
    seen = [await anext(frames) for _ in range(30)]
    clock.advance(10)
    rest = await perform(stream, [speech(60)])
    assert len(seen) + len(rest) == 105
    assert engine.quality == before
    await engine.close()


@pytest.mark.parametrize(("frames_s", "clips_s"), [(1.0, 0.0), (0.0, 1.0)])
async def test_a_device_that_is_too_slow_costs_quality(
    models: DittoModels, options: DittoOptions, avatar: Avatar, frames_s: float, clips_s: float
) -> None:
    clock = ManualClock()
    slow = timed(models, clock, frames_s=frames_s, clips_s=clips_s)
    before, after = await quality_after(slow, options, clock, avatar)
    assert before.steps == 8
    assert after.steps == 4


async def test_a_long_push_is_drawn_while_it_is_encoded_and_ends_when_cancelled(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    gate, encoded = threading.Event(), 0

    def encode(window: FloatArray) -> FloatArray:
        nonlocal encoded
        encoded += 1
        if encoded > 10:
            gate.wait()
        return models.encode(window)

    engine = DittoEngine(replace(models, encode=encode), options)
    stream = await engine.open(avatar)
    await stream.push(speech(1_500))
    async for frame in stream:
        if frame.index == 20:
            break
    await stream.cancel()
    gate.set()
    await engine.close()
    assert encoded <= 11


@pytest.mark.parametrize(
    "sound", [np.full(640, np.nan, np.float32), np.zeros((640, 2), np.float32)]
)
async def test_bad_sound_is_refused_and_the_performance_goes_on(
    engine: DittoEngine, avatar: Avatar, sound: FloatArray
) -> None:
    stream = await engine.open(avatar)
    with pytest.raises(InvalidAudio, match="A face needs"):
        await stream.push(sound)
    assert len(await perform(stream, [speech(3)])) == 3


async def test_closing_the_engine_ends_every_performance(
    models: DittoModels, options: DittoOptions, avatar: Avatar
) -> None:
    engine = DittoEngine(models, options)
    watching = [asyncio.create_task(watch(await engine.open(avatar))) for _ in range(2)]
    await engine.close()
    assert await asyncio.gather(*watching) == [[], []]


async def test_silence_alone_is_drawn_too(engine: DittoEngine, avatar: Avatar) -> None:
    frames = await perform(await engine.open(avatar), [np.zeros(3_000, np.float32)])
    assert len(frames) == 5


async def test_no_sound_gives_no_frames(engine: DittoEngine, avatar: Avatar) -> None:
    assert await perform(await engine.open(avatar), []) == []


async def test_preparing_an_avatar_registers_it_and_takes_no_place(
    small: DittoEngine, avatar: Avatar, options: DittoOptions
) -> None:
    drawing = await small.open(avatar)
    cold = packed(options)
    await small.prepare(cold)
    assert (cold.features_folder / FEATURES_FILE).is_file()
    assert small.streams == 1
    await drawing.cancel()


async def test_an_avatar_is_registered_once_and_kept_in_its_pack(
    models: DittoModels, options: DittoOptions, tmp_path: Path
) -> None:
    avatar = packed(options)
    engine = DittoEngine(models, options)
    await (await engine.open(avatar)).cancel()
    await engine.close()
    path = avatar.features_folder / FEATURES_FILE
    written = path.stat().st_mtime_ns
    with np.load(path) as file:
        assert f"ditto.{models.key}.rows" in file.files
    engine = DittoEngine(models, options)
    await (await engine.open(load_avatar(avatar.folder))).cancel()
    await engine.close()
    assert path.stat().st_mtime_ns == written
    other = DittoEngine(replace(models, key="other"), options)
    await (await other.open(load_avatar(avatar.folder))).cancel()
    await other.close()
    with np.load(path) as file:
        assert {f"ditto.{models.key}.rows", "ditto.other.rows"} <= set(file.files)


async def test_a_replaced_idle_loop_is_registered_anew(
    models: DittoModels, options: DittoOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same length, but with the face elsewhere."""
    before = packed(options)
    monkeypatch.setattr(packs, "draw", lambda points, draw=packs.draw: np.roll(draw(points), 20, 1))
    other = packs.make_pack(tmp_path / "other" / "oval", frames=4, atlas=False, blendshapes=False)
    registered(before, models)
    before.idle_path.write_bytes((other / "idle.mp4").read_bytes())
    after = load_avatar(before.folder)
    found = registered(after, models).matrices
    assert after.frame_count == before.frame_count
    assert np.allclose(found, registered(load_avatar(other), models).matrices)


async def test_a_damaged_registration_is_computed_again(
    models: DittoModels, options: DittoOptions
) -> None:
    avatar = packed(options)
    path = avatar.features_folder / FEATURES_FILE
    path.parent.mkdir()
    path.write_bytes(b"PK\x03\x04 not really")
    engine = DittoEngine(models, options)
    assert len(await perform(await engine.open(avatar), [speech(3)])) == 3
    await engine.close()


async def test_an_avatar_without_a_face_is_refused(
    engine: DittoEngine, options: DittoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "draw", lambda points: np.full((320, 256, 3), 128, np.uint8))
    with pytest.raises(InvalidAvatar, match="no face was found"):
        await engine.open(packed(options))
    assert engine.streams == 0
