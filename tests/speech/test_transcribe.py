"""Speech goes to the service as a WAV file and comes back as words."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from ditto_avatar.errors import BudgetUsedUp, InvalidAudio, ProviderFailed, ProviderRefused
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.retry import Retries
from ditto_avatar.speech.transcribe import OpenAITranscriber, TranscriberOptions
from ditto_avatar.types import Language
from tests.fakes.openai_server import FakeOpenAI, Refusal, Script, Talk, Transcript, fake_openai

SAMPLES = (np.sin(np.arange(16_000) / 10) * 9_000).astype(np.int16)


@asynccontextmanager
async def listening(
    *script: Script, budget: Budget | None = None
) -> AsyncIterator[tuple[OpenAITranscriber, FakeOpenAI]]:
    async with fake_openai(*script) as fake:
        options = TranscriberOptions(base_url=fake.base_url, answer_s=2)
        engine = OpenAITranscriber(
            "sk-secret", options, retries=Retries(2, first_wait_s=0.001), budget=budget
        )
        try:
            yield engine, fake
        finally:
            await engine.close()


async def test_the_words_come_back() -> None:
    async with listening(Transcript(" 안녕하세요. ")) as (engine, fake):
        assert await engine.transcribe(SAMPLES, Language.KOREAN) == "안녕하세요."
        _, _, body = fake.requests[0]
        assert b'name="language"\r\n\r\nko' in body
        start = body.index(b"RIFF")
        with wave.open(io.BytesIO(body[start:])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            assert file.readframes(16_000) == SAMPLES.tobytes()


async def test_a_busy_service_is_tried_again() -> None:
    async with listening(Refusal(500), Transcript("yes")) as (engine, _):
        assert await engine.transcribe(SAMPLES, Language.ENGLISH) == "yes"


async def test_a_wrong_key_is_refused() -> None:
    async with listening(Refusal(401)) as (engine, _):
        with pytest.raises(ProviderRefused) as caught:
            await engine.transcribe(SAMPLES, Language.ENGLISH)
        assert "sk-secret" not in str(caught.value)


async def test_an_answer_of_another_kind_is_told() -> None:
    async with listening(Talk(["x"])) as (engine, _):
        with pytest.raises(ProviderFailed, match="could not be read"):
            await engine.transcribe(SAMPLES, Language.ENGLISH)


async def test_a_click_is_not_sent() -> None:
    async with listening(Transcript("x")) as (engine, fake):
        with pytest.raises(InvalidAudio, match="50 ms came"):
            await engine.transcribe(SAMPLES[:800], Language.ENGLISH)
        assert fake.requests == []


async def test_seconds_that_were_sent_are_counted_and_no_more_go_than_may() -> None:
    budget = Budget(Paid.TRANSCRIPTION, 1.5)
    async with listening(Refusal(500), Transcript("yes"), budget=budget) as (engine, fake):
        await engine.transcribe(SAMPLES, Language.ENGLISH)
        assert budget.used == len(SAMPLES) / 16_000
        with pytest.raises(BudgetUsedUp):
            await engine.transcribe(SAMPLES, Language.ENGLISH)
        assert len(fake.requests) == 2
