"""The queue between a connection and the listener."""

from __future__ import annotations

import numpy as np

from ditto_avatar.session import events
from ditto_avatar.session.microphone import Microphone, Recording
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.listening import Int16Array, Listener, ListenMode
from ditto_avatar.types import Language, joined
from tests.fakes.clock import ManualClock

from .conftest import Worlds


async def test_pieces_come_out_in_order_until_the_end() -> None:
    recording = Recording(lambda: None)
    for value in range(3):
        recording.put(np.full(4, value, np.int16))
    recording.end()
    assert [piece[0] async for piece in recording] == [0, 1, 2]


async def test_a_listener_that_is_too_slow_loses_the_oldest_and_is_told_once() -> None:
    told: list[bool] = []
    recording = Recording(lambda: told.append(True), max_samples=10)
    for value in range(6):
        recording.put(np.full(4, value, np.int16))
    recording.end()
    assert [piece[0] async for piece in recording] == [4, 5]
    assert told == [True]


class Stenographer:
    """Understands the same words in every sound."""

    async def transcribe(self, samples: Int16Array, language: Language) -> str:
        return "Hello?"

    async def close(self) -> None:
        pass


async def test_a_spoken_question_continues_the_idle_loop_that_the_page_told_of(
    open_world: Worlds,
) -> None:
    world = await open_world(clock=ManualClock())
    session = await world.registry.open("me")
    async with EspeakEngine() as voice:
        chunks = [chunk async for chunk in voice.speak("Hello there?", voice.voices()[0])]
    said = joined(chunks).samples
    errors: list[Exception] = []
    async with world.viewer(session) as viewer:
        listener = Listener(Stenographer())
        microphone = Microphone(listener, session, tell=lambda event: None, fail=errors.append)
        microphone.start(ListenMode.PUSH_TO_TALK, idle_frame=20)
        for piece in np.array_split((said * 32_000).astype(np.int16), 10):
            microphone.push(piece.tobytes())
        microphone.stop()
        started = await viewer.until(events.SegmentStarted)
        await microphone.close()
    assert started.first_frame == 20 + 5  # 0.2 s until it is painted
    assert errors == []
