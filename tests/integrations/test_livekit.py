"""LiveKit's own classes, in one process; no server and no room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("livekit.agents", reason="the extra livekit is not installed")

from livekit import rtc
from livekit.agents.voice import avatar as livekit_avatar

from ditto_avatar.assembly import open_puppet
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.integrations.live_avatar import LiveAvatar
from ditto_avatar.integrations.livekit import AvatarVideoGenerator
from tests.deadlines import TEST_DEADLINE_S


class Publication:
    """A track that somebody watches."""

    async def wait_for_subscription(self) -> None: ...


class Participant:
    """Takes tracks and sends them nowhere."""

    def __init__(self) -> None:
        self.kinds: asyncio.Queue[int] = asyncio.Queue()

    async def publish_track(self, track: Any, options: Any) -> Publication:
        self.kinds.put_nowait(track.kind)
        return Publication()


def make_room() -> Any:
    """What LiveKit's runner asks of a room. A real one needs a server."""
    room: Any = rtc.EventEmitter()
    room.local_participant = Participant()
    room.isconnected = lambda: True
    return room


@contextlib.asynccontextmanager
async def running(
    pack: Avatar,
) -> AsyncIterator[tuple[Any, asyncio.Queue[int]]]:
    """LiveKit's own runner with the avatar; where an agent puts its sound, and the kinds of tracks
    that were published."""
    face = open_puppet()
    generator = AvatarVideoGenerator(LiveAvatar(pack, face))
    output = livekit_avatar.QueueAudioOutput(sample_rate=24_000)
    room = make_room()
    runner = livekit_avatar.AvatarRunner(
        room, audio_recv=output, video_gen=generator, options=generator.options
    )
    await runner.start()
    try:
        yield output, room.local_participant.kinds
    finally:
        await runner.aclose()
        await generator.aclose()
        await face.close()


def tone(seconds: float) -> object:
    samples = (np.sin(np.arange(int(24_000 * seconds)) / 20) * 15_000).astype(np.int16)
    return rtc.AudioFrame(samples.tobytes(), 24_000, 1, len(samples))


async def test_the_sound_of_an_agent_comes_back_with_pictures(pack: Avatar) -> None:
    face = open_puppet()
    generator = AvatarVideoGenerator(LiveAvatar(pack, face))
    output = livekit_avatar.QueueAudioOutput(sample_rate=24_000)

    async def read() -> None:
        async for frame in output:
            await generator.push_audio(frame)

    reading = asyncio.create_task(read())
    await output.capture_frame(tone(1.0))
    output.flush()
    sounds: list[Any] = []
    pictures: list[Any] = []
    async with asyncio.timeout(TEST_DEADLINE_S):
        async for made in generator:
            if isinstance(made, livekit_avatar.AudioSegmentEnd):
                break
            (sounds if isinstance(made, rtc.AudioFrame) else pictures).append(made)
    assert sum(frame.duration for frame in sounds) == pytest.approx(1.0)
    assert {(p.width, p.height) for p in pictures} == {(pack.width, pack.height)}
    assert len(pictures) > len(sounds) == 25
    assert max(np.abs(np.frombuffer(f.data, np.int16)).max() for f in sounds) > 5_000
    assert generator.options.audio_sample_rate == 16_000
    reading.cancel()
    await generator.aclose()
    await face.close()


async def test_clearing_the_buffer_stops_it_without_an_end(pack: Avatar) -> None:
    face = open_puppet()
    generator = AvatarVideoGenerator(LiveAvatar(pack, face))
    await generator.push_audio(tone(2.0))
    sounds = later = 0
    async with asyncio.timeout(TEST_DEADLINE_S):
        async for made in generator:
            assert not isinstance(made, livekit_avatar.AudioSegmentEnd)
            if isinstance(made, rtc.AudioFrame):
                sounds += 1
                assert later == 0, "nothing is heard after the interruption"
            elif sounds >= 3:
                await generator.clear_buffer()
                later += 1
            if later == 5:
                break
    assert sounds < 10
    await generator.aclose()
    await face.close()


async def test_the_runner_tells_the_agent_that_all_of_it_was_heard(pack: Avatar) -> None:
    async with running(pack) as (output, kinds):
        await output.capture_frame(tone(1.0))
        output.flush()
        async with asyncio.timeout(TEST_DEADLINE_S):
            heard = await output.wait_for_playout()
        assert not heard.interrupted
        assert heard.playback_position == pytest.approx(1.0)
        published = [await kinds.get() for _ in range(2)]
        assert published == [rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO]


async def test_the_runner_tells_the_agent_where_it_was_interrupted(pack: Avatar) -> None:
    async with running(pack) as (output, kinds):
        await output.capture_frame(tone(30.0))
        output.flush()
        async with asyncio.timeout(TEST_DEADLINE_S):
            await kinds.get()  # the first picture is on its way
            output.clear_buffer()
            heard = await output.wait_for_playout()
        assert heard.interrupted
        assert heard.playback_position < 5
