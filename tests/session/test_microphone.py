"""The queue between a connection and the listener."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.clock import SystemClock
from ditto_avatar.errors import RateLimited
from ditto_avatar.session.microphone import Microphone, Recording
from ditto_avatar.session.sound_limits import SoundLimits
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.listening import Listener, ListenMode
from ditto_avatar.transport import events
from ditto_avatar.types import Int16Array, Language, joined
from tests.fakes.clock import ManualClock
from tests.worlds import Worlds


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
        microphone = Microphone(
            listener,
            SoundLimits(SystemClock(), 60),
            session,
            tell=lambda event: None,
            fail=errors.append,
        )
        microphone.start(ListenMode.PUSH_TO_TALK, idle_frame=20)
        for piece in np.array_split((said * 32_000).astype(np.int16), 10):
            microphone.push(piece.tobytes())
        microphone.stop()
        started = await viewer.until(events.SegmentStarted)
        await microphone.close()
    assert started.first_frame == 20 + 5  # 0.2 s until it is painted
    assert errors == []


async def test_a_flood_of_sound_is_cut_to_what_a_microphone_gives(open_world: Worlds) -> None:
    clock = ManualClock()
    world = await open_world(clock=clock)
    session = await world.registry.open("me")
    told: list[events.Event] = []
    refused: list[float] = []
    limits = SoundLimits(clock, 60, refused.append)
    stenographer = Stenographer()
    microphone = Microphone(
        Listener(stenographer), limits, session, tell=told.append, fail=lambda error: None
    )
    microphone.start(ListenMode.PUSH_TO_TALK)
    second = bytes(32_000)
    for _ in range(100):
        microphone.push(second)
    assert sum(refused) == 90.0
    clock.advance(10)
    for _ in range(100):
        microphone.push(second)
    assert sum(refused) == 90.0 + 90.0
    await microphone.close()
    notices = [event.code for event in told if isinstance(event, events.Notice)]
    assert notices.count("too_much_sound") == 1


def test_an_address_gives_no_more_sound_than_a_few_microphones_do() -> None:
    clock = ManualClock()
    limits = SoundLimits(clock, 60)

    def taken(session: str) -> int:
        for seconds in range(1_000):
            try:
                limits.take_sound(session, "192.0.2.7", 1.0)
            except RateLimited:
                return seconds
        raise AssertionError("no limit")

    assert sum(taken(f"session {number}") for number in range(50)) == 40
    clock.advance(10)
    assert sum(taken(f"session {number}") for number in range(50)) == 40
    limits.take_sound("another", "192.0.2.8", 1.0)


def test_a_person_who_speaks_all_day_is_heard_all_day() -> None:
    clock = ManualClock()
    limits = SoundLimits(clock, 60)
    for _ in range(3_600):
        limits.take_sound("session", "192.0.2.7", 0.5)
        clock.advance(0.5)


def test_utterances_have_a_rate_of_their_own() -> None:
    limits = SoundLimits(ManualClock(), 2)
    limits.take_utterance("session")
    limits.take_utterance("session")
    with pytest.raises(RateLimited, match="spoken messages"):
        limits.take_utterance("session")
