"""When a voice fails, another one speaks, and somebody is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest

from ditto_avatar.errors import (
    InvalidInput,
    ProviderFailed,
    ProviderRefused,
    SentenceFailed,
    Unavailable,
)
from ditto_avatar.providers.health import Health
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.speech.utterance import utterance
from ditto_avatar.speech.voices import voice_for
from ditto_avatar.types import Emotion, Fallback, Language, SpeechChunk, Voice, joined
from tests.fakes.clock import ManualClock

EN = Language.ENGLISH


class Scripted:
    """Gives `chunks` chunks for each sentence, then fails if it is told to."""

    def __init__(self, name: str, error: Exception | None = None, chunks: int = 0) -> None:
        self.name = self.fingerprint = name
        self.error = error
        self.chunks = chunks
        self.said: list[tuple[str, str]] = []

    def voices(self) -> Sequence[Voice]:
        return [Voice(f"{self.name}-{code}", code, self.name, "") for code in Language]

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.said.append((sentence, voice.id))
        for _ in range(self.chunks):
            yield SpeechChunk(np.ones(640, np.float32))
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.said.append(("closed", ""))


def chain(
    *engines: SpeechEngine, health: Health | None = None
) -> tuple[FallbackSpeech, list[Fallback]]:
    told: list[Fallback] = []
    return FallbackSpeech(engines, told.append, health=health), told


async def say(speech: FallbackSpeech, text: str = "Hello.") -> SpeechChunk:
    voice = voice_for(speech, text, EN)
    return joined([chunk async for chunk in utterance(speech, text, voice)])


async def test_the_next_engine_says_the_same_sentence_in_its_own_voice() -> None:
    broken = Scripted("google", ProviderFailed("Google is down."))
    async with EspeakEngine() as espeak:
        speech, told = chain(broken, espeak)
        assert len((await say(speech)).phonemes) > 3
    assert broken.said == [("Hello.", "google-en")]
    assert told == [Fallback("speech", "google", "espeak", "Google is down.")]


async def test_the_avatars_own_voice_is_kept_on_the_next_engine() -> None:
    second = Scripted("openai", chunks=1)
    speech, _ = chain(Scripted("google", ProviderFailed("down")), second)
    told: list[Fallback] = []
    own = speech.telling(told.append, {"openai": {"en": "marin"}})
    await say(own)
    assert second.said == [("Hello.", "marin")]
    assert len(told) == 1


async def test_an_engine_that_failed_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    broken = Scripted("google", ProviderFailed("down"))
    speech, told = chain(broken, Scripted("b", chunks=1), health=Health(clock, rest_s=30))
    for _ in range(3):
        await say(speech)
    assert len(broken.said) == len(told) == 1
    assert speech.name == "b"
    clock.advance(31)
    assert speech.name == "google"
    await say(speech)
    assert len(broken.said) == 2


async def test_a_wrong_key_is_left_alone_longer() -> None:
    clock = ManualClock()
    broken = Scripted("google", ProviderRefused("wrong key"))
    speech, _ = chain(broken, Scripted("b", chunks=1), health=Health(clock))
    await say(speech)
    clock.advance(300)
    await say(speech)
    assert len(broken.said) == 1


async def test_a_sentence_that_breaks_off_is_not_said_twice() -> None:
    broken = Scripted("google", ProviderFailed("cut"), chunks=2)
    second = Scripted("b", chunks=1)
    speech, told = chain(broken, second)
    assert np.count_nonzero((await say(speech)).samples) == 2 * 640
    assert second.said == []
    assert [fallback.used for fallback in told] == ["b"]
    await say(speech)
    assert len(second.said) == 1


async def test_when_nobody_can_speak_the_last_failure_is_raised() -> None:
    speech, told = chain(Scripted("a", ProviderFailed("one")), Scripted("b", ProviderFailed("two")))
    with pytest.raises(ProviderFailed, match="two"):
        await say(speech)
    assert [fallback.used for fallback in told] == ["b", None]


async def test_a_sentence_that_no_voice_can_say_is_left_out() -> None:
    health = Health(ManualClock())
    picky = Scripted("a", SentenceFailed("Not this one."))
    speech, told = chain(picky, health=health)
    assert not (await say(speech)).samples.size
    assert told == [Fallback("sentence", "a", None, "Not this one.")]
    assert health.usable("a")


async def test_a_sentence_that_one_voice_cannot_say_is_said_by_another_one() -> None:
    health = Health(ManualClock())
    second = Scripted("b", chunks=1)
    speech, told = chain(Scripted("a", SentenceFailed("Not this one.")), second, health=health)
    assert (await say(speech)).samples.size
    assert told == [Fallback("sentence", "a", "b", "Not this one.")]
    assert speech.name == "a"


async def test_a_mistake_of_the_caller_is_no_reason_to_fall_back() -> None:
    speech, told = chain(Scripted("a", InvalidInput("no such voice")), Scripted("b", chunks=1))
    with pytest.raises(InvalidInput):
        await say(speech)
    assert told == []


async def test_a_voice_of_a_later_engine_is_its_engines() -> None:
    first, second = Scripted("a", chunks=1), Scripted("b", chunks=1)
    speech, _ = chain(first, second)
    _ = [chunk async for chunk in speech.speak("Hi.", Voice("b-en", EN, "b", ""))]
    assert (len(first.said), len(second.said)) == (0, 1)


async def test_all_voices_are_listed_and_all_engines_closed() -> None:
    first, second = Scripted("a"), Scripted("b")
    speech, _ = chain(first, second)
    assert [voice.id for voice in speech.voices()] == ["a-en", "a-ko", "b-en", "b-ko"]
    await speech.close()
    assert first.said == second.said == [("closed", "")]


def test_a_chain_of_nothing_is_refused() -> None:
    with pytest.raises(Unavailable):
        FallbackSpeech([])
