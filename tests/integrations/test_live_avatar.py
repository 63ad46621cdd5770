from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ditto_avatar.assembly import open_puppet
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.integrations.live_avatar import LiveAvatar, Shown
from ditto_avatar.types import FloatArray
from tests.deadlines import TEST_DEADLINE_S


class QuickClock:
    """Time that passes as fast as it is asked for."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        self._now = max(self._now, when)
        await asyncio.sleep(0)


def tone(seconds: float, rate_hz: int = 24_000) -> FloatArray:
    return (np.sin(np.arange(int(seconds * rate_hz)) / 20) / 2).astype(np.float32)


@pytest.fixture
async def avatar(pack: Avatar) -> AsyncIterator[LiveAvatar]:
    face = open_puppet()
    avatar = LiveAvatar(pack, face, QuickClock())
    yield avatar
    await avatar.close()
    await face.close()


async def take(avatar: LiveAvatar, until: str) -> list[Shown]:
    """What is shown until an utterance has begun, or ended."""
    shown: list[Shown] = []
    async with asyncio.timeout(TEST_DEADLINE_S):
        async for one in avatar:
            shown.append(one)
            if (until == "ended" and one.last) or (until == "begun" and one.samples is not None):
                return shown
    return shown


async def test_it_shows_its_idle_loop_while_nobody_speaks(avatar: LiveAvatar, pack: Avatar) -> None:
    shown: list[Shown] = []
    async for one in avatar:
        shown.append(one)
        if len(shown) == 5:
            break
    assert all(one.samples is None and not one.last for one in shown)
    for index, one in enumerate(shown):
        np.testing.assert_array_equal(one.picture, pack.idle_frames[index])


async def test_each_picture_of_an_utterance_has_its_sound(avatar: LiveAvatar) -> None:
    await avatar.push(tone(0.5), 24_000)
    await avatar.push(tone(0.5), 24_000)
    ending = asyncio.create_task(avatar.end())
    shown = await take(avatar, "ended")
    await ending
    spoken = [one for one in shown if one.samples is not None]
    assert len(spoken) == 25
    assert shown[-1].last
    sound = np.concatenate([one.samples for one in spoken if one.samples is not None])
    assert len(sound) == 16_000
    assert 0.3 < np.abs(sound[2_000:14_000]).max() < 0.6
    assert not avatar.speaking


async def test_an_interruption_ends_it_at_once_and_says_how_far_it_was(avatar: LiveAvatar) -> None:
    await avatar.push(tone(2.0), 24_000)
    await take(avatar, "begun")
    heard = await avatar.clear()
    assert heard == pytest.approx(0.04)
    later: list[Shown] = []
    async for one in avatar:
        later.append(one)
        if len(later) == 3:
            break
    assert all(one.samples is None and not one.last for one in later)
    assert await avatar.clear() == 0.0


async def test_it_speaks_again_after_an_interruption(avatar: LiveAvatar) -> None:
    await avatar.push(tone(1.0), 24_000)
    await avatar.clear()
    await avatar.push(tone(0.4), 24_000)
    ending = asyncio.create_task(avatar.end())
    spoken = [one for one in await take(avatar, "ended") if one.samples is not None]
    await ending
    assert len(spoken) == 10


async def test_an_utterance_waits_for_the_one_before(avatar: LiveAvatar) -> None:
    await avatar.push(tone(0.2), 24_000)
    await avatar.end()
    second = asyncio.create_task(avatar.push(tone(0.2), 24_000))
    first = [one for one in await take(avatar, "ended") if one.samples is not None]
    assert len(first) == 5
    await second
    await avatar.end()
    assert len([one for one in await take(avatar, "ended") if one.samples is not None]) == 5


async def test_closing_ends_the_iteration(avatar: LiveAvatar) -> None:
    seen = 0
    async for _ in avatar:
        seen += 1
        await avatar.close()
    assert seen == 1
    await avatar.push(tone(0.1), 24_000)
    assert not avatar.speaking
