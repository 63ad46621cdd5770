"""Google's voices over the real service definition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from ditto_avatar.errors import BudgetUsedUp, ProviderFailed, ProviderRefused, Unavailable
from ditto_avatar.providers.budget import Budget, Paid
from ditto_avatar.providers.retry import Retries
from ditto_avatar.speech.google import GoogleSpeech, GoogleSpeechOptions
from ditto_avatar.types import Language, SpeechChunk, Voice, joined
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.google_speech import FakeGoogle, fake_google

KEY = "AIza-secret-0123456789"
STREAMING = Voice("en-US-Chirp-HD-F", Language.ENGLISH, "google", "")
WHOLE = Voice("ko-KR-Neural2-A", Language.KOREAN, "google", "")


@asynccontextmanager
async def speaking(
    fake: FakeGoogle | None = None, seconds: float = 5, budget: Budget | None = None
) -> AsyncIterator[tuple[GoogleSpeech, FakeGoogle]]:
    async with fake_google(fake) as served:
        options = GoogleSpeechOptions(
            served.endpoint, plaintext=True, first_sound_s=seconds, next_sound_s=seconds
        )
        engine = GoogleSpeech(
            KEY, options=options, retries=Retries(2, first_wait_s=0.001), budget=budget
        )
        try:
            yield engine, served
        finally:
            await engine.close()


async def say(engine: GoogleSpeech, voice: Voice = STREAMING) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak("Hello there.", voice)]


async def test_a_chirp_voice_streams_16_khz_in_parts() -> None:
    async with speaking() as (engine, fake):
        chunks = await say(engine)
        assert len(chunks) == 10
        samples = joined(chunks).samples
        assert len(samples) == 16_000
        assert 0.45 < float(np.abs(samples).max()) < 0.55
        name, (config, text) = fake.calls[0]
        assert (name, text) == ("stream", "Hello there.")
        assert config.voice.language_code == "en-US"
        assert config.voice.name == "en-US-Chirp-HD-F"
        assert config.streaming_audio_config.sample_rate_hertz == 16_000
        assert config.streaming_audio_config.speaking_rate == pytest.approx(1.1)
        assert fake.keys == [KEY]


async def test_another_voice_comes_whole_and_without_its_header() -> None:
    async with speaking() as (engine, fake):
        chunks = await say(engine, WHOLE)
        assert len(joined(chunks).samples) == 16_000
        assert len(chunks) > 1
        name, request = fake.calls[0]
        assert name == "whole"
        assert request.voice.language_code == "ko-KR"
        assert request.audio_config.audio_encoding.name == "LINEAR16"


async def test_a_voice_without_a_rate_is_asked_without_one_from_then_on() -> None:
    fake = FakeGoogle(without_rate=(STREAMING.id, WHOLE.id))
    async with speaking(fake) as (engine, _):
        for voice in (STREAMING, WHOLE):
            assert await say(engine, voice)
            assert await say(engine, voice)
    assert [name for name, _ in fake.calls] == ["stream"] * 3 + ["whole"] * 3


async def test_a_voice_that_cannot_stream_comes_whole_from_then_on() -> None:
    fake = FakeGoogle(without_streaming=(STREAMING.id,))
    async with speaking(fake) as (engine, _):
        assert await say(engine)
        assert await say(engine)
    assert [name for name, _ in fake.calls] == ["stream", "whole", "whole"]


@pytest.mark.parametrize("voice", [STREAMING, WHOLE])
@pytest.mark.parametrize(
    ("status", "message", "calls"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "TTS_API_KEY is wrong", 1),
        (grpc.StatusCode.PERMISSION_DENIED, "TTS_API_KEY is wrong", 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", 2),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "in time", 2),
        (grpc.StatusCode.UNAVAILABLE, "cannot be reached", 2),
        (grpc.StatusCode.NOT_FOUND, "NOT_FOUND", 1),
    ],
)
async def test_every_refusal_has_its_own_sentence(
    status: grpc.StatusCode, message: str, calls: int, voice: Voice
) -> None:
    async with speaking(FakeGoogle(refuse=status)) as (engine, fake):
        with pytest.raises(ProviderFailed, match=message) as caught:
            await say(engine, voice)
        assert len(fake.calls) == calls
        assert KEY not in str(caught.value)


async def test_a_voice_that_is_never_accepted_is_named() -> None:
    fake = FakeGoogle(refuse=grpc.StatusCode.INVALID_ARGUMENT, detail="no such voice")
    async with speaking(fake) as (engine, _):
        with pytest.raises(ProviderFailed, match="did not accept the voice 'en-US-Chirp-HD-F'"):
            await say(engine)


async def test_a_key_that_is_called_an_invalid_argument_is_a_wrong_key() -> None:
    fake = FakeGoogle(refuse=grpc.StatusCode.INVALID_ARGUMENT, detail="API key not valid.")
    async with speaking(fake) as (engine, _):
        with pytest.raises(ProviderRefused, match="TTS_API_KEY is wrong"):
            await say(engine)


async def test_a_busy_service_is_tried_again() -> None:
    fake = FakeGoogle(refuse=grpc.StatusCode.UNAVAILABLE, refusals=1)
    async with speaking(fake) as (engine, _):
        assert len(joined(await say(engine)).samples) == 16_000


@pytest.mark.parametrize(
    ("fake", "message"),
    [(FakeGoogle(break_after=2), "broke off"), (FakeGoogle(stall_after=2), "stopped in the")],
)
async def test_what_breaks_in_the_middle_is_told(fake: FakeGoogle, message: str) -> None:
    async with speaking(fake, seconds=0.3) as (engine, _):
        stream = engine.speak("Hello.", STREAMING)
        assert len((await anext(stream)).samples)
        assert len((await anext(stream)).samples)
        with pytest.raises(ProviderFailed, match=message):
            await anext(stream)


async def test_no_sound_in_time_is_told() -> None:
    async with speaking(FakeGoogle(stall_after=0), seconds=0.2) as (engine, _):
        with pytest.raises(ProviderFailed, match=r"no sound within 0\.2 s"):
            await say(engine)


async def test_leaving_early_cancels_the_call() -> None:
    async with speaking(FakeGoogle(stall_after=1)) as (engine, fake):
        stream = engine.speak("Hello.", STREAMING)
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(TEST_DEADLINE_S):
            await fake.cancelled.wait()


async def test_the_check_lists_voices_and_tells_a_wrong_key() -> None:
    async with speaking() as (engine, _):
        assert "1 Korean voices" in await engine.check()
    async with speaking(FakeGoogle(refuse=grpc.StatusCode.UNAUTHENTICATED)) as (engine, _):
        with pytest.raises(ProviderRefused):
            await engine.check()


def test_without_a_key_it_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="TTS_API_KEY"):
        GoogleSpeech()


async def test_a_broken_service_account_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text('{"private_key": "secret"}')
    engine = GoogleSpeech(credentials=tmp_path / "account.json")
    with pytest.raises(ProviderRefused, match=r"'account\.json' cannot be read"):
        await say(engine)


async def test_the_key_appears_in_no_log_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL):
        async with speaking(FakeGoogle(refuse=status)) as (engine, _):
            try:
                await say(engine)
            except ProviderFailed:
                logging.getLogger("test").exception("a sentence failed")
    assert "a sentence failed" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("voice", [STREAMING, WHOLE])
async def test_characters_that_were_spoken_are_counted_once(voice: Voice) -> None:
    budget = Budget(Paid.SPEECH, 20)
    async with speaking(budget=budget) as (engine, fake):
        await say(engine, voice)
        assert budget.used == len("Hello there.")
        with pytest.raises(BudgetUsedUp):
            await say(engine, voice)
        assert len(fake.calls) == 1
