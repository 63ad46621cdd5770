"""OpenAI's voices over HTTP: 24 kHz in, 16 kHz out, and every way it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from ditto_avatar.errors import BudgetUsedUp, ProviderFailed, ProviderRefused
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.retry import Retries
from ditto_avatar.speech.openai import OpenAISpeech, OpenAISpeechOptions
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice, joined
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.openai_server import FakeOpenAI, Refusal, Script, Sound, fake_openai

KEY = "sk-secret-0123456789"
CORAL = Voice("coral", Language.ENGLISH, "openai", "Coral")
KOREAN = Voice("coral", Language.KOREAN, "openai", "Coral")


@asynccontextmanager
async def speaking(
    *script: Script,
    model: str = "gpt-4o-mini-tts",
    seconds: float = 5,
    budget: Budget | None = None,
) -> AsyncIterator[tuple[OpenAISpeech, FakeOpenAI]]:
    async with fake_openai(*script) as fake:
        options = OpenAISpeechOptions(model, fake.base_url, seconds, seconds)
        engine = OpenAISpeech(KEY, options, retries=Retries(2, first_wait_s=0.001), budget=budget)
        try:
            yield engine, fake
        finally:
            await engine.close()


async def say(
    engine: OpenAISpeech, voice: Voice = CORAL, emotion: Emotion = Emotion.NEUTRAL
) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak("Hello there.", voice, emotion)]


async def test_a_sentence_streams_and_becomes_16_khz() -> None:
    async with speaking(Sound(1.0)) as (engine, fake):
        chunks = await say(engine)
        samples = joined(chunks).samples
        assert len(chunks) > 5
        assert len(samples) == 16_000
        spectrum = np.abs(np.fft.rfft(samples[2_000:14_000] * np.hanning(12_000)))
        assert abs(int(spectrum.argmax()) * 16_000 / 12_000 - 440) < 2
        body = fake.bodies[0]
        assert body["input"] == "Hello there."
        assert body["voice"] == "coral"
        assert body["response_format"] == "pcm"


async def test_the_emotion_and_the_language_are_instructions() -> None:
    async with speaking(Sound(0.1)) as (engine, fake):
        await say(engine, KOREAN, Emotion.SAD)
        instructions = str(fake.bodies[0]["instructions"])
        assert "sad" in instructions
        assert "Korean" in instructions


async def test_a_model_without_instructions_gets_none() -> None:
    async with speaking(Sound(0.1), model="tts-1") as (engine, fake):
        await say(engine)
        assert "instructions" not in fake.bodies[0]


async def test_a_wrong_key_is_refused_at_once() -> None:
    async with speaking(Refusal(401)) as (engine, fake):
        with pytest.raises(ProviderRefused, match="OPENAI_API_KEY is wrong") as caught:
            await say(engine)
        assert len(fake.requests) == 1
        assert KEY not in str(caught.value)


async def test_a_busy_service_is_tried_again() -> None:
    async with speaking(Refusal(503), Sound(0.2)) as (engine, _):
        assert len(joined(await say(engine)).samples) == 3_200


@pytest.mark.parametrize(
    ("then", "message"), [("cut", "broke off"), ("stall", "stopped in the middle")]
)
async def test_what_breaks_in_the_middle_is_told(then: str, message: str) -> None:
    async with speaking(Sound(0.5, then), seconds=0.3) as (engine, fake):
        stream = engine.speak("Hello.", CORAL)
        assert len((await anext(stream)).samples)
        with pytest.raises(ProviderFailed, match=message):
            _ = [chunk async for chunk in stream]
        assert len(fake.requests) == 1


async def test_no_sound_in_time_is_told() -> None:
    async with speaking(Sound(0.0, "stall"), seconds=0.2) as (engine, _):
        with pytest.raises(ProviderFailed, match=r"no sound within 0\.2 s"):
            await say(engine)


async def test_an_empty_answer_is_told() -> None:
    async with speaking(Sound(0.0)) as (engine, _):
        with pytest.raises(ProviderFailed, match="gave no sound"):
            await say(engine)


async def test_leaving_early_closes_the_connection() -> None:
    async with speaking(Sound(2.0, "stall")) as (engine, fake):
        stream = engine.speak("Hello.", CORAL)
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(TEST_DEADLINE_S):
            await fake.closed.wait()


async def test_the_check_asks_for_the_model() -> None:
    async with speaking(Sound()) as (engine, _):
        assert "'gpt-4o-mini-tts'" in await engine.check()
    async with speaking(Refusal(401)) as (engine, _):
        with pytest.raises(ProviderRefused):
            await engine.check()


def test_there_are_voices_for_both_languages() -> None:
    engine = OpenAISpeech(KEY)
    assert {voice.language for voice in engine.voices()} == set(Language)


async def test_characters_that_were_spoken_are_counted_once() -> None:
    budget = Budget(Paid.SPEECH, 20)
    async with speaking(Refusal(500), Sound(0.5), budget=budget) as (engine, fake):
        await say(engine)
        assert budget.used == len("Hello there.")
        with pytest.raises(BudgetUsedUp):
            await say(engine)
        assert len(fake.requests) == 2
