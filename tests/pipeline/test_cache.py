from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.pipeline.cache import SHARED, CacheKey, SegmentCache, SegmentMedia, cache_key
from ditto_avatar.session.conversation import MESSAGE, SAY
from ditto_avatar.transport import events
from ditto_avatar.types import SAMPLES_PER_FRAME
from tests.fakes.clock import ManualClock
from tests.worlds import Worlds

LOOP = 50
KEY = cache_key("me", text="Hi.", voice="tone/low")


def drawn(first_frame: int = 10, frames: int = 12) -> SegmentMedia:
    encoder = FragmentEncoder(64, 64)
    fragments = []
    for _ in range(frames):
        fragments += encoder.encode(
            np.full((96, 64), 90, np.uint8), np.zeros(SAMPLES_PER_FRAME, np.float32)
        )
    fragments += encoder.finish()
    audio = np.linspace(-0.5, 0.5, frames * SAMPLES_PER_FRAME).astype(np.float32)
    return SegmentMedia(tuple(fragments), audio, first_frame, (first_frame + frames - 1) % LOOP)


def size_on_disk(kept: SegmentMedia) -> int:
    """The pictures, and 16-bit sound with its header."""
    return len(kept.stream) + 44 + 2 * len(kept.audio)


def cache(path: Path, max_bytes: int = 10**8) -> SegmentCache:
    return SegmentCache(path / "cache", max_bytes)


def test_a_kept_take_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = drawn()
    cache(tmp_path).keep(KEY, kept)
    found = cache(tmp_path).find(KEY, LOOP, 30, exact=False)
    assert found is not None
    assert found.fragments == kept.fragments
    assert (found.first_frame, found.last_frame, found.frames) == (10, 21, 12)
    np.testing.assert_allclose(found.audio, kept.audio, atol=1 / 32767)


def test_other_words_are_another_take(tmp_path: Path) -> None:
    cache(tmp_path).keep(KEY, drawn())
    assert (
        cache(tmp_path).find(cache_key("me", text="Ho.", voice="tone/low"), LOOP, 10, exact=False)
        is None
    )


@pytest.mark.parametrize(("near", "expected"), [(12, 10), (33, 40), (49, 48), (1, 48)])
def test_the_first_sentence_takes_the_nearest_pose_around_the_loop(
    tmp_path: Path, near: int, expected: int
) -> None:
    segments = cache(tmp_path)
    for first in (10, 40, 48):
        segments.keep(KEY, drawn(first))
    found = segments.find(KEY, LOOP, near, exact=False)
    assert found is not None
    assert found.first_frame == expected


def test_a_sentence_in_the_middle_needs_the_very_pose(tmp_path: Path) -> None:
    segments = cache(tmp_path)
    segments.keep(KEY, drawn(10))
    assert segments.find(KEY, LOOP, 11, exact=True) is None
    assert segments.find(KEY, LOOP, 10, exact=True) is not None


def test_beyond_the_limit_the_least_recently_used_goes(tmp_path: Path) -> None:
    segments = cache(tmp_path, int(size_on_disk(drawn()) * 2.5))
    for age, first in ((30, 10), (20, 20)):
        segments.keep(KEY, drawn(first))
        path = next((tmp_path / "cache").glob(f"me/*.{first}.*.m4s"))
        os.utime(path, (time.time() - age, time.time() - age))
    segments = cache(tmp_path, int(size_on_disk(drawn()) * 2.5))
    assert segments.find(KEY, LOOP, 10, exact=True) is not None  # used now, so 20 is the oldest
    segments.keep(KEY, drawn(30))
    assert segments.find(KEY, LOOP, 20, exact=True) is None
    assert segments.find(KEY, LOOP, 10, exact=True) is not None
    assert len(list((tmp_path / "cache" / "me").iterdir())) == 4


def test_a_damaged_take_is_as_good_as_none(tmp_path: Path) -> None:
    cache(tmp_path).keep(KEY, drawn())
    path = next((tmp_path / "cache").glob("me/*.m4s"))
    path.write_bytes(path.read_bytes()[:-5])
    segments = cache(tmp_path)
    assert segments.has(KEY)
    assert segments.find(KEY, LOOP, 10, exact=False) is None
    assert not segments.has(KEY)
    assert not list((tmp_path / "cache").iterdir())


def test_turns_that_make_room_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    kept = drawn(frames=2)
    segments = cache(tmp_path, size_on_disk(kept))

    def keep(first_frame: int) -> None:
        segments.keep(KEY, replace(kept, first_frame=first_frame))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(keep, range(200)))  # raises what a thread raised
    assert len(list((tmp_path / "cache" / "me").iterdir())) == 2


def test_a_file_that_cannot_be_looked_at_or_removed_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segments = cache(tmp_path, 1)
    folder = tmp_path / "cache" / "me"
    (folder / f"{KEY.digest}.1.2.m4s").mkdir(parents=True)
    (folder / f"{KEY.digest}.1.2.wav").write_bytes(b"x")
    (folder / f"{KEY.digest}.3.4.m4s").symlink_to(tmp_path / "gone")
    segments.keep(KEY, drawn(10))
    assert "could not be removed" in caplog.text
    assert segments.find(KEY, LOOP, 10, exact=True) is None  # made room for


def test_what_a_killed_process_left_half_is_removed_at_the_start(tmp_path: Path) -> None:
    segments = cache(tmp_path)
    segments.keep(KEY, drawn(10))
    folder, digest = tmp_path / "cache" / "me", KEY.digest
    whole = set(folder.iterdir())
    for name in (f".{digest}.20.31.m4s.part", f".{digest}.30.41.wav.part", f"{digest}.20.31.wav"):
        (folder / name).write_bytes(b"half")
    cache(tmp_path).clear_unfinished()
    assert set(folder.iterdir()) == whole
    assert segments.find(KEY, LOOP, 10, exact=True) is not None


def test_a_smaller_limit_counts_from_the_start(tmp_path: Path) -> None:
    for first in (10, 20):
        cache(tmp_path).keep(KEY, drawn(first))
    cache(tmp_path, size_on_disk(drawn())).clear_unfinished()
    assert len(list((tmp_path / "cache" / "me").iterdir())) == 2


def test_a_size_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    cache(tmp_path, 0).keep(KEY, drawn())
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    cache(tmp_path).keep(KEY, drawn())
    assert cache(tmp_path).find(KEY, LOOP, 10, exact=False) is None


def test_what_one_session_said_is_not_there_for_another(tmp_path: Path) -> None:
    segments = cache(tmp_path)
    segments.keep(KEY, drawn())
    yours = cache_key("you", text="Hi.", voice="tone/low")
    assert yours.digest == KEY.digest
    assert not segments.has(yours)
    assert segments.find(yours, LOOP, 10, exact=False) is None


def test_an_erased_session_leaves_no_file_and_keeps_nothing_more(tmp_path: Path) -> None:
    segments = cache(tmp_path)
    yours = replace(KEY, scope="you")
    for key in (KEY, yours):
        segments.keep(key, drawn())
    segments.erase("me")
    segments.keep(KEY, drawn())  # a turn that was cancelled is still writing
    assert not segments.has(KEY)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["you"]
    assert segments.has(yours)
    segments.erase("me")  # again is no error


def test_takes_of_sessions_go_before_the_servers_own(tmp_path: Path) -> None:
    segments = cache(tmp_path, int(size_on_disk(drawn()) * 2.5))
    for scope in (SHARED, "me", "you"):
        segments.keep(replace(KEY, scope=scope), drawn())
    assert segments.has(replace(KEY, scope=SHARED))
    assert not segments.has(KEY)
    assert not (tmp_path / "cache" / "me").exists()
    assert segments.has(replace(KEY, scope="you"))


def test_takes_of_sessions_go_by_age_and_the_servers_own_stay(tmp_path: Path) -> None:
    for scope, age in ((SHARED, 100), ("me", 100), ("you", 10)):
        cache(tmp_path).keep(replace(KEY, scope=scope), drawn())
        path = next((tmp_path / "cache" / scope).glob("*.m4s"))
        os.utime(path, (time.time() - age, time.time() - age))
    segments = cache(tmp_path)
    segments.expire(50)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {SHARED, "you"}


def test_the_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache(tmp_path).keep(KEY, drawn())
    segments = cache(tmp_path)
    segments.clear_unfinished()

    def listed(path: Path, *_: object) -> None:
        raise AssertionError(f"{path} was listed")

    monkeypatch.setattr(Path, "glob", listed)
    monkeypatch.setattr(Path, "iterdir", listed)
    assert segments.has(KEY)
    assert segments.find(KEY, LOOP, 10, exact=True) is not None
    segments.keep(replace(KEY, digest="0" * 40), drawn())
    assert segments.has(replace(KEY, digest="0" * 40))


def test_what_earlier_versions_kept_of_everybody_together_is_removed(tmp_path: Path) -> None:
    segments = cache(tmp_path)
    segments.keep(KEY, drawn())
    for suffix in (".m4s", ".wav"):
        (tmp_path / "cache" / f"{KEY.digest}.1.2{suffix}").write_bytes(b"old")
    segments.clear_unfinished()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["me"]
    assert segments.has(KEY)


async def test_nobody_can_tell_by_the_speed_what_another_session_said(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    mine, yours = await world.registry.open("me"), await world.registry.open("you")
    for count, session in enumerate((mine, mine, yours, yours)):
        async with world.viewer(session) as viewer:
            await session.submit(SAY, "A secret of mine.", idle_frame=3)
            await viewer.until(events.TurnFinished)
        assert len(world.speech.said) == (1, 1, 2, 2)[count]


async def test_a_sentence_of_the_server_is_drawn_once_for_all(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8, own_sentences=frozenset({"Hello there."}))
    for _ in range(2):
        session = await world.registry.open("me")
        async with world.viewer(session) as viewer:
            await session.submit(MESSAGE, "Hello?", idle_frame=3)
            await viewer.until(events.TurnFinished)
    assert world.speech.said == ["Hello there.", "How are you today?", "How are you today?"]


async def test_the_same_answer_is_spoken_and_drawn_once(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(MESSAGE, "Hello?", idle_frame=3)
        await viewer.until(events.TurnFinished)
        said = list(world.speech.said)
        await session.submit(MESSAGE, "Hello?", idle_frame=30)
        await viewer.until(events.TurnFinished, 2)
    assert world.speech.said == said
    ready = viewer.of(events.VideoReady)
    clips = [event.clip for event in ready]
    assert [c.text for c in clips] == ["Hello there.", "How are you today?"] * 2
    assert clips[3].first_frame == (clips[2].last_frame + 1) % session.avatar.frame_count
    fragments = viewer.of(events.SegmentData)
    for once, again in ((ready[0], ready[2]), (ready[1], ready[3])):
        assert b"".join(f.data for f in fragments if f.segment == once.segment) == b"".join(
            f.data for f in fragments if f.segment == again.segment
        )


async def test_an_engine_with_other_options_speaks_and_draws_anew(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        for turn, change in enumerate(("none", "none", "voice", "face", "none"), start=1):
            if change == "voice":
                world.speech.pitch_hz = 330
            if change == "face":
                world.face.brightness = 20
            await session.submit(SAY, "Hello there.", idle_frame=3)
            await viewer.until(events.TurnFinished, turn)
            assert len(world.speech.said) == (1, 1, 2, 3, 3)[turn - 1]


async def test_what_a_strained_engine_drew_is_not_shown_again(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        for turn, strained in enumerate((True, False, False), start=1):
            world.face.strained = strained
            await session.submit(SAY, "Hello there.", idle_frame=3)
            await viewer.until(events.TurnFinished, turn)
            assert len(world.speech.said) == (1, 2, 2)[turn - 1]


def test_another_version_of_the_package_makes_other_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ditto_avatar.pipeline.cache.__version__", "0.0.9")
    assert cache_key("me", text="Hi.", voice="tone/low") != KEY


async def test_new_words_after_old_ones_continue_their_pose(open_world: Worlds) -> None:
    world = await open_world(cache_bytes=10**8)
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        world.dialogue.answer = "Hello there."
        await session.submit(MESSAGE, "Hello?", idle_frame=3)
        await viewer.until(events.TurnFinished)
        world.dialogue.answer = "Something new. Hello there. And more."
        await session.submit(MESSAGE, "And?", idle_frame=3)
        await viewer.until(events.TurnFinished, 2)
    clips = [ready.clip for ready in viewer.of(events.VideoReady)[1:]]
    assert [c.index for c in clips] == [0, 1, 2]
    loop = session.avatar.frame_count
    assert clips[1].first_frame == (clips[0].last_frame + 1) % loop
    assert clips[2].first_frame == (clips[1].last_frame + 1) % loop


@pytest.mark.parametrize("window", [0, 3])
async def test_poses_follow_one_another_whatever_was_drawn_before(
    open_world: Worlds, window: int
) -> None:
    world = await open_world(cache_bytes=10**8)
    world.face.window = window
    session = await world.registry.open("me")
    loop = session.avatar.frame_count
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Cached one.", idle_frame=3)
        await viewer.until(events.TurnFinished)
        said = len(world.speech.said)
        await session.submit(SAY, "Cached one. A drawn one. Cached one.", idle_frame=3)
        await viewer.until(events.TurnFinished, 2)
    assert len(world.speech.said) >= said + 1
    first, second, third = (ready.clip for ready in viewer.of(events.VideoReady)[1:])
    assert second.first_frame == (first.last_frame + 1) % loop
    # One step of the loop, or the turn of a window, where the same picture comes twice.
    step = (third.first_frame - second.last_frame) % loop
    assert step in ((0, 1, loop - 1) if window else (1,))


async def test_a_drawn_sentence_is_followed_by_a_cached_one_that_continues_its_pose(
    open_world: Worlds,
) -> None:
    world = await open_world(cache_bytes=10**8, clock=ManualClock())
    world.face.window = 3
    session = await world.registry.open("me")
    async with world.viewer(session) as viewer:
        await session.submit(SAY, "Cached one.", idle_frame=0)
        await viewer.until(events.TurnFinished)
        (path,) = (world.data_dir / "cache" / session.id).glob("*.m4s")
        key = CacheKey(session.id, path.name.split(".")[0])
        kept = world.cache.find(key, session.avatar.frame_count, 0, exact=False)
        assert kept is not None
        for first in range(session.avatar.frame_count):
            world.cache.keep(key, replace(kept, first_frame=first))
        world.speech.said.clear()
        await session.submit(SAY, "A drawn one. Cached one.", idle_frame=0)
        await viewer.until(events.TurnFinished, 2)
    assert world.speech.said == ["A drawn one."]
    drawn, cached = (ready.clip for ready in viewer.of(events.VideoReady)[-2:])
    assert cached.first_frame - drawn.last_frame in (0, 1, -1)
