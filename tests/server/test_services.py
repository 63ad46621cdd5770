"""The real server with a language model and voices that are services, as they work and fail."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from tests.fakes.google_speech import FakeGoogle, fake_google
from tests.fakes.openai_server import FakeOpenAI, Refusal, Script, Sound, Talk, fake_openai

from .conftest import Server, ServeWith, Socket

KEYS = {
    "openai_api_key": "sk-proj-4f1c0ffee4f1c0ffee-openai",
    "tts_api_key": "AIzaSy-b16b00b5b16b00b5-google",
}


@asynccontextmanager
async def connected(
    serve: ServeWith, model: Script, voice: Script | FakeGoogle, **changes: Any
) -> AsyncIterator[tuple[Server, FakeOpenAI, FakeOpenAI | FakeGoogle]]:
    """A server whose language model answers by `model` and whose voice speaks by `voice`."""
    keys = {name: SecretStr(key) for name, key in KEYS.items()}
    async with fake_openai(model) as chat:
        services = {**keys, "dialogue": "openai", "openai_base_url": chat.base_url, **changes}
        if isinstance(voice, FakeGoogle):
            async with fake_google(voice) as google:
                address = {"google_endpoint": google.endpoint, "google_plaintext": True}
                async with serve(**services, **address, speech="google") as server:
                    yield server, chat, google
        else:
            async with fake_openai(voice) as speech:
                del services["tts_api_key"]
                async with serve(
                    **services, openai_speech_url=speech.base_url, speech="openai"
                ) as server:
                    yield server, chat, speech


async def answered(client: Socket) -> str:
    await client.send(type="user.text", text="How are you?")
    text: str = (await client.until("turn.finished"))["text"]
    return text


async def answering(client: Socket) -> None:
    """Ask, and wait for the first sentence of the answer only."""
    await client.send(type="user.text", text="How are you?")
    await client.until("segment.started")


async def test_the_models_words_its_emotions_and_the_voice_come_together(
    serve: ServeWith,
) -> None:
    talk = Talk(("[hap", "py] I am", " well. ", "[sad] But", " it rains. ", "[grumpy] So."))
    async with (
        connected(serve, talk, Sound(1.0)) as (server, chat, voice),
        server.socket() as client,
    ):
        assert await answered(client) == "I am well. But it rains. So."
        segments = client.of("segment.started")
        assert [(s["text"], s["emotion"]) for s in segments] == [
            ("I am well.", "happy"),
            ("But it rains.", "sad"),
            ("So.", "neutral"),
        ]
        assert all(
            clip["duration"] == pytest.approx(1.28, abs=0.09) for clip in client.of("video_ready")
        )
    assert isinstance(voice, FakeOpenAI)
    spoken = [json.loads(body) for path, _, body in voice.requests if path.endswith("speech")]
    assert [body["input"] for body in spoken] == ["I am well.", "But it rains.", "So."]
    assert "happy" in spoken[0]["instructions"]
    assert "sad" in spoken[1]["instructions"]
    asked = next(
        json.loads(body) for path, _, body in chat.requests if path.endswith("completions")
    )
    assert asked["messages"][0]["role"] == "system"
    assert asked["messages"][0]["content"].startswith("You are an oval.")


async def test_half_a_character_from_a_model_spoils_neither_the_answer_nor_a_reconnect(
    serve: ServeWith,
) -> None:
    talk = Talk(("Well \ud83d", "\ude00 done. ", "Half \ud83d", " of it.\x00"))
    async with connected(serve, talk, Sound(0.5)) as (server, _, _):
        async with server.socket() as client:
            ready = await client.until("session.ready")
            assert await answered(client) == "Well 😀 done. Half \ufffd of it."
        async with server.socket(session=ready["session"], token=ready["token"]) as again:
            back = await again.until("session.ready")
    assert back["resumed"]
    assert back["history"][-1]["text"] == "Well 😀 done. Half \ufffd of it."


async def test_the_script_of_a_sentence_chooses_googles_voice(serve: ServeWith) -> None:
    talk = Talk(("Hello there. ", "안녕하세요. ", "Bye."))
    async with (
        connected(serve, talk, FakeGoogle(seconds=0.6)) as (server, _, google),
        server.socket() as client,
    ):
        await answered(client)
        voices = (await server.http.get("/api/voices")).json()
    assert isinstance(google, FakeGoogle)
    streams = [call for name, call in google.calls if name == "stream"]
    spoken = [(config.voice.language_code, text) for config, text in streams]
    assert spoken == [("en-US", "Hello there."), ("ko-KR", "안녕하세요."), ("en-US", "Bye.")]
    assert {(v["engine"], v["language"]) for v in voices} >= {
        ("google", "ko"),
        ("google", "en"),
        ("espeak", "ko"),
    }
    assert any(voice["id"] == "en-US-Chirp-HD-F" for voice in voices)


async def test_a_model_that_fails_is_replaced_by_the_notes_with_a_notice_and_a_metric(
    serve: ServeWith,
) -> None:
    async with (
        connected(serve, Refusal(401), Sound(0.5)) as (server, _, _),
        server.socket() as client,
    ):
        await answering(client)
        assert "offline" in client.of("notice")[0]["message"]
        metrics = (await server.http.get("/metrics")).text
        await client.send(type="interrupt")
        await client.until("turn.interrupted")
    assert 'ditto_fallbacks_total{failed="openai",part="dialogue"} 1.0' in metrics


async def test_a_voice_that_fails_is_replaced_by_the_embedded_one(serve: ServeWith) -> None:
    failing = FakeGoogle(refuse=grpc.StatusCode.RESOURCE_EXHAUSTED)
    async with (
        connected(serve, Talk(("I am well.",)), failing) as (server, _, _),
        server.socket() as client,
    ):
        await answered(client)
        assert client.of("video_ready")[0]["duration"] > 0.5
        assert "espeak" in client.of("notice")[0]["message"]
        metrics = (await server.http.get("/metrics")).text
    assert 'ditto_fallbacks_total{failed="google",part="speech"} 1.0' in metrics


async def test_a_budget_that_is_used_up_is_told_and_the_embedded_voice_speaks(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    talk = Talk(("I am well. ", "And you?"))
    async with connected(serve, talk, Sound(0.5), budget_speech_characters=15) as (
        server,
        _,
        voice,
    ):
        async with server.socket() as client:
            await answered(client)
            await answered(client)
            notices = [notice["message"] for notice in client.of("notice")]
        metrics = (await server.http.get("/metrics")).text
    assert isinstance(voice, FakeOpenAI)
    spoken = [json.loads(b)["input"] for path, _, b in voice.requests if path.endswith("speech")]
    assert spoken == ["I am well."]
    assert notices == ["Today's budget for openai is used up, so espeak speaks until tomorrow."]
    assert 'ditto_budget_used{unit="speech_characters"} 10.0' in metrics
    assert caplog.text.count("daily budget") == 1
    # A restart gives nothing back.
    async with connected(serve, talk, Sound(0.5), budget_speech_characters=15) as (server, _, _):
        metrics = (await server.http.get("/metrics")).text
    assert 'ditto_budget_used{unit="speech_characters"} 10.0' in metrics


async def test_tokens_beyond_the_budget_are_not_asked_for(serve: ServeWith) -> None:
    async with (
        connected(serve, Talk(), Sound(0.5), budget_dialogue_tokens=50) as (server, chat, _),
        server.socket(language="ko") as client,
    ):
        await answering(client)
        assert "내일까지 offline 엔진이" in client.of("notice")[0]["message"]
    assert not any(path.endswith("completions") for path, _, _ in chat.requests)


async def test_a_refused_key_is_a_warning_at_start(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(serve, Refusal(401), Sound(0.5)) as (server, chat, _):
        async with server.socket() as client:
            await client.send(type="say", text="Hi.")
            await client.until("turn.finished")
        assert chat.requests[0][0].startswith("/v1/models/")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any("dialogue by openai" in text and "OPENAI_API_KEY" in text for text in warnings)


FAILURES = [
    (Refusal(401), Refusal(401)),
    (Refusal(429, "rate_limit_exceeded", retry_after="60"), Refusal(429, retry_after="60")),
    (Refusal(500, retry_after="60"), Refusal(500, retry_after="60")),
    (Talk(then="cut"), Sound(then="cut")),
    (Talk(then="garbage"), Refusal(404)),
    (Talk(), FakeGoogle(refuse=grpc.StatusCode.UNAUTHENTICATED, detail="API key")),
    (Talk(), FakeGoogle(refuse=grpc.StatusCode.INVALID_ARGUMENT, detail="API key not valid")),
    (Talk(), FakeGoogle(break_after=1)),
]


@pytest.mark.parametrize(("model", "voice"), FAILURES)
async def test_secrets_are_nowhere_to_be_seen(
    serve: ServeWith,
    caplog: pytest.LogCaptureFixture,
    model: Script,
    voice: Script | FakeGoogle,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected(serve, model, voice) as (server, _, service):
        async with server.socket() as client:
            await answering(client)
            await client.send(type="audio.start", mode="push_to_talk")
            await client.raw.send(bytes(32_000))
            await client.send(type="audio.stop")
            await client.send(type="say", text="And once more.")
            await client.until("turn.finished")
        paths = ("/", "/metrics", "/openapi.json", "/api/voices", "/api/avatars", "/readyz")
        pages = [(await server.http.get(path)).text for path in paths]
    seen = "\n".join(
        [
            *pages,
            *(json.dumps(message) for message in client.messages),
            *(caplog.handler.format(record) for record in caplog.records),
        ]
    )
    assert "And once more." in seen
    for key in KEYS.values():
        assert key not in seen
        # Services like to quote the end of a key.
        assert key[-12:] not in seen
    # The keys were there to be seen.
    used = service.keys if isinstance(service, FakeGoogle) else [str(service.requests)]
    assert any(key in text for key in KEYS.values() for text in used)
