"""Voices that were too slow at a busy start are tried again, while nobody is spoken to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ditto_avatar.server.voice_tests import try_voices
from ditto_avatar.session.admission import Admission, Claim
from ditto_avatar.session.limits import Share
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.neural.engine import ModelSpeech, SelfTest
from ditto_avatar.speech.neural.local import LocalSpeech
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.clock import ManualClock
from tests.fakes.voices import write_piper


class World:
    """A server with one voice, and a machine that says how slow it is."""

    def __init__(self, folder: Path, espeak: EspeakEngine) -> None:
        self.clock = ManualClock()
        self.admission = Admission(1, 0, Share(1))
        self.factor = 0.6
        self.tested = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.ended = 0
        self.local = LocalSpeech(folder, espeak, slowest=0.35, measure=self._measure)

    async def _measure(self, speech: ModelSpeech) -> SelfTest:
        self.tested.set()
        try:
            await self.goes_on.wait()
        finally:
            self.ended += 1
        return SelfTest(0.1, self.factor)

    async def test_begins(self) -> None:
        await asyncio.wait_for(self.tested.wait(), TEST_DEADLINE_S)
        self.tested.clear()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        claim = Claim("here", lambda: True, lambda position: None, lambda: None)
        async with self.admission.place(claim):
            yield


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    write_piper(tmp_path)
    async with EspeakEngine(children=1) as espeak:
        world = World(tmp_path, espeak)
        task = asyncio.create_task(try_voices(world.local, world.admission, world.clock))
        await world.test_begins()
        await world.clock.until_sleeping(1)
        yield world
        task.cancel()
        await asyncio.wait([task])
        await world.local.close()
    assert task.cancelled()


async def test_a_slow_voice_is_tried_again_after_ever_longer_waits(world: World) -> None:
    for seconds in (60, 120, 240):
        assert world.local.voices() == []
        world.clock.advance(seconds - 1)
        assert world.clock.sleepers == 1
        world.clock.advance(1)
        await world.test_begins()
        await world.clock.until_sleeping(1)
    world.factor = 0.3
    world.clock.advance(480)
    await world.test_begins()
    await world.local.prepare()  # comes behind the test
    assert len(world.local.voices()) == 1
    assert world.clock.sleepers == 0


async def test_nothing_is_tried_while_somebody_is_spoken_to(world: World) -> None:
    async with world.turn():
        world.clock.advance(60)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not world.tested.is_set()
    await world.test_begins()


async def test_a_turn_stops_the_test_which_is_made_up_for_later(world: World) -> None:
    world.goes_on.clear()
    world.clock.advance(60)
    await world.test_begins()
    async with world.turn():
        await world.clock.until_sleeping(1)
        assert (world.ended, world.local.pids) == (2, [])
    world.goes_on.set()
    world.factor = 0.3
    # The wait has not grown: nothing was found out.
    world.clock.advance(60)
    await world.test_begins()
