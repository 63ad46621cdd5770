"""LiveKit's own classes, in one process; no server and no room."""

from __future__ import annotations

import asyncio
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
