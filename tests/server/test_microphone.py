"""The microphone over the WebSocket of a real server, with a transcription service on loopback."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Int16Array, joined
from tests.deadlines import TEST_DEADLINE_S
from tests.fakes.openai_server import FakeOpenAI, Refusal, Script, Transcript, fake_openai

from .conftest import Server, ServeWith, Socket

PRESENTER = "The kitchen is open until nine, and after that there is only the bar downstairs."
PIECE = 640
OTHER_VOICE = 2


async def person(text: str) -> FloatArray:
    """Somebody else's voice, float32 (n,) at 16 kHz."""
    async with EspeakEngine() as engine:
        voice = engine.voices()[OTHER_VOICE]
        return joined([chunk async for chunk in engine.speak(text, voice)]).samples


def microphone(samples: FloatArray, gain: float = 0.9) -> Int16Array:
    """What a microphone makes of a sound: a quiet room before and after it."""
    room = np.random.default_rng(1).normal(0, 0.0005, 28_000)
    return (np.concatenate([room[:8_000], samples * gain, room]) * 32_000).astype(np.int16)


async def send_sound(client: Socket, samples: Int16Array, *, live: bool = False) -> None:
    """All at once, or `live`, as fast as a microphone hears it."""
    for start in range(0, len(samples), PIECE):
        if live:
            await asyncio.sleep(PIECE / SAMPLE_RATE_HZ)
        await client.raw.send(samples[start : start + PIECE].tobytes())


@asynccontextmanager
async def listening(
    serve: ServeWith, *script: Script, **changes: Any
) -> AsyncIterator[tuple[Server, FakeOpenAI]]:
    """A server that has its microphones understood by `script`."""
    async with fake_openai(*script) as openai:
        settings = {"openai_speech_url": openai.base_url, "openai_api_key": SecretStr("sk-test")}
        async with serve(**settings, **changes) as server:
            yield server, openai


def transcribed(openai: FakeOpenAI) -> list[bytes]:
    """What was sent to be understood."""
    return [body for path, _, body in openai.requests if path == "/v1/audio/transcriptions"]


async def speaking(client: Socket, server: Server) -> FloatArray:
    """Let the presenter say its sentence, 4 s of which have just been heard; its sound."""
    await client.send(type="say", text=PRESENTER)
    clip = await client.until("video_ready")
    await client.until("turn.finished")
    file = await server.http.get(clip["audio_url"])
    with wave.open(io.BytesIO(file.content)) as reader:
        sound = np.frombuffer(reader.readframes(reader.getnframes()), np.int16) / 32_767
    await client.send(type="playback", segment=clip["segment"], state="playing", media_ms=4_000)
    return sound.astype(np.float32)


async def question(client: Socket) -> str:
    """What the next turn asks; its answer is not waited for."""
    started = await client.until("turn.started")
    await client.send(type="interrupt")
    await client.until("turn.interrupted")
    text: str = started["text"]
    return text


async def test_what_is_said_hands_free_is_asked(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("What can you do?")) as (server, openai),
        server.socket() as client,
    ):
        assert (await client.next())["transcription"] == "server"
        await client.send(type="audio.start", mode="hands_free")
        await send_sound(client, microphone(await person("What can you do?")))
        heard = await client.until("transcript")
        assert (heard["text"], heard["final"]) == ("What can you do?", True)
        assert await question(client) == "What can you do?"
    [body] = transcribed(openai)
    assert b"RIFF" in body


async def test_with_the_button_held_everything_until_its_release_is_asked(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("Yes. And no.")) as (server, _),
        server.socket() as client,
    ):
        await client.send(type="audio.start", mode="push_to_talk")
        await send_sound(client, microphone(await person("Yes. And no.")))
        await client.send(type="audio.stop")
        assert await question(client) == "Yes. And no."


async def test_speaking_over_the_presenter_interrupts(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("Wait, stop that, please.")) as (server, _),
        server.socket() as client,
    ):
        await speaking(client, server)
        await client.send(type="audio.start", mode="hands_free")
        await send_sound(client, microphone(await person("Wait, stop that, please.")))
        assert (await client.until("turn.interrupted"))["reason"] == "user"
        assert await question(client) == "Wait, stop that, please."


async def test_the_presenters_echo_neither_interrupts_nor_asks(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript(PRESENTER)) as (server, openai),
        server.socket() as client,
    ):
        sound = await speaking(client, server)
        await client.send(type="audio.start", mode="hands_free")
        # The loudspeaker plays on while the sound of the last seconds arrives.
        await send_sound(client, microphone(sound[32_000:64_000], gain=0.2))
        await client.send(type="audio.stop")
        async with asyncio.timeout(TEST_DEADLINE_S):
            await openai.asked.wait()
        await client.send(type="say", text="Go on.")
        assert await question(client) == "Go on."
        assert not client.of("transcript")
        assert len(client.of("turn.started")) == 2


async def test_an_answer_in_the_presenters_own_words_is_heard(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("The kitchen.")) as (server, _),
        server.socket() as client,
    ):
        await speaking(client, server)
        segment = client.of("video_ready")[0]["segment"]
        await client.send(type="playback", segment=segment, state="ended", media_ms=5_000)
        await client.send(type="audio.start", mode="hands_free")
        # Live, for the silence before it is what tells an answer from an echo.
        await send_sound(client, microphone(await person("The kitchen.")), live=True)
        assert await question(client) == "The kitchen."


async def test_a_transcript_that_fails_is_one_error_and_the_next_one_comes(
    serve: ServeWith,
) -> None:
    sound = microphone(await person("Hello, can you hear me?"))
    async with (
        listening(serve, Refusal(400), Transcript("Hello?")) as (server, _),
        server.socket() as client,
    ):
        await client.send(type="audio.start", mode="hands_free")
        await send_sound(client, sound)
        error = await client.until("error")
        assert error["code"] == "provider_failed"
        await send_sound(client, sound)
        assert await question(client) == "Hello?"
        assert len(client.of("error")) == 1


async def test_without_transcription_the_browser_has_to_understand(server: Server) -> None:
    async with server.socket() as client:
        assert (await client.next())["transcription"] == "browser"
        await client.send(type="audio.start", mode="hands_free")
        error = await client.until("error")
        assert error["code"] == "unavailable"
        # The page may have sent some sound before it read that: told once is enough.
        await send_sound(client, np.zeros(6_400, np.int16))
        await client.send(type="audio.stop")
        await client.send(type="ping", t=1)
        await client.until("pong")
        assert len(client.of("error")) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\x00\x01\x02", "invalid_input"), (b"", "invalid_input"), (b"\0" * 70_000, "too_large")],
)
async def test_bytes_that_are_no_samples_get_one_error_and_listening_goes_on(
    serve: ServeWith, data: bytes, code: str
) -> None:
    async with (
        listening(serve, Transcript("Hello?")) as (server, _),
        server.socket() as client,
    ):
        await client.send(type="audio.start", mode="push_to_talk")
        await client.raw.send(data)
        assert (await client.until("error"))["code"] == code
        await send_sound(client, microphone(await person("Hello?")))
        await client.send(type="audio.stop")
        assert await question(client) == "Hello?"
        assert len(client.of("error")) == 1


async def test_switching_on_twice_is_an_error_and_off_twice_is_none(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("Hello?")) as (server, _),
        server.socket() as client,
    ):
        await client.send(type="audio.start", mode="hands_free")
        await client.send(type="audio.start", mode="hands_free")
        assert "on" in (await client.until("error"))["message"]
        await client.send(type="audio.stop")
        await client.send(type="audio.stop")
        await client.send(type="ping", t=1)
        await client.until("pong")
        assert len(client.of("error")) == 1


async def test_a_viewer_that_leaves_takes_its_microphone_along(serve: ServeWith) -> None:
    async with listening(serve, Transcript("Never.")) as (server, openai):
        async with server.socket() as client:
            ready = await client.next()
            await client.send(type="audio.start", mode="push_to_talk")
            await send_sound(client, microphone(await person("Hello?")))
            await client.send(type="ping", t=1)
            await client.until("pong")
        async with server.socket(session=ready["session"], token=ready["token"]) as again:
            await again.send(type="say", text="Hi.")
            await again.until("turn.finished")
        assert transcribed(openai) == []
        listening_still = [t for t in asyncio.all_tasks() if "_listen" in repr(t.get_coro())]
        assert listening_still == []


async def test_a_flood_of_sound_reaches_the_service_no_faster_than_a_microphone(
    serve: ServeWith,
) -> None:
    said = microphone(await person("How does this work?"))
    async with (
        listening(serve, Transcript("Well?")) as (server, openai),
        server.socket() as client,
    ):
        for _ in range(6):
            await client.send(type="audio.start", mode="push_to_talk")
            for _ in range(8):
                for start in range(0, len(said), 16_000):
                    await client.raw.send(said[start : start + 16_000].tobytes())
            await client.send(type="audio.stop")
        notice = await client.until("notice")
        assert notice["code"] == "too_much_sound"
        await client.until("transcript")
        metrics = (await server.http.get("/metrics")).text
    assert "ditto_sound_refused_seconds_total 0.0" not in metrics
    sent_s = sum(len(body) for body in transcribed(openai)) / 32_000
    assert 0.5 < sent_s < 15


async def test_when_the_days_seconds_are_used_up_the_person_is_told(serve: ServeWith) -> None:
    async with (
        listening(serve, Transcript("x"), budget_transcription_s=0.2) as (server, openai),
        server.socket(language="ko") as client,
    ):
        await client.send(type="audio.start", mode="push_to_talk")
        await send_sound(client, microphone(await person("Yes. And no.")))
        await client.send(type="audio.stop")
        notice = await client.until("notice")
        assert notice["code"] == "budget_used_up"
        assert "글로 써 주세요" in notice["message"]
    assert transcribed(openai) == []
