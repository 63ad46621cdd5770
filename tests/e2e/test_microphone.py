"""Speaking to the presenter: Chromium's fake microphone, a real server, and a transcription service
on loopback."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, expect

from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.types import FloatArray, joined
from tests.deadlines import TEST_DEADLINE_MS
from tests.e2e.conftest import Server
from tests.e2e.wire import Wire
from tests.fakes.browser import SOUND_FLAG, chromium
from tests.fakes.openai_server import FakeOpenAI, Transcript, fake_openai_in_thread
from tests.fakes.packs import make_pack
from tests.web.screen import ask, expect_phase, open_page

pytestmark = pytest.mark.e2e

QUESTION = "What can you do?"
LONG = "This is a long sentence that the presenter says while somebody waits to speak. " * 3
OTHER_VOICE = 2


def said(text: str) -> FloatArray:
    """Somebody else's voice, float32 (n,) at 16 kHz."""

    async def speak() -> FloatArray:
        async with EspeakEngine() as engine:
            voice = engine.voices()[OTHER_VOICE]
            return joined([chunk async for chunk in engine.speak(text, voice)]).samples

    # Playwright's own event loop runs in this thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(speak())).result()


def recording(path: Path, *parts: FloatArray | float) -> Path:
    """A file of sounds, and of silences in seconds."""
    sounds = [p if isinstance(p, np.ndarray) else np.zeros(round(p * 16_000)) for p in parts]
    samples = (np.concatenate(sounds) * 28_000).astype("<i2")
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return path


def transcribed(openai: FakeOpenAI) -> list[bytes]:
    """What was sent to be understood."""
    return [body for path, _, body in openai.requests if path == "/v1/audio/transcriptions"]


@contextmanager
def speaking_into(playwright: Playwright, sound: Path) -> Iterator[Page]:
    """A page whose microphone hears a file, from its beginning when it is switched on."""
    flags = (
        SOUND_FLAG,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}%noloop",
    )
    with chromium(playwright, flags) as browser:
        context = browser.new_context(locale="en-US", permissions=["microphone"])
        context.set_default_timeout(TEST_DEADLINE_MS)
        yield context.new_page()


def recordings(openai: FakeOpenAI) -> list[bytes]:
    """What was sent to be transcribed; the server also asks once whether the key is good."""
    return [body for path, _, body in openai.requests if path.endswith("/transcriptions")]


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with fake_openai_in_thread(Transcript(QUESTION)) as fake:
        yield fake


@pytest.fixture
def hearing_server(tmp_path: Path, openai: FakeOpenAI) -> Iterator[Server]:
    make_pack(tmp_path / "packs" / "oval")
    server = Server(
        tmp_path,
        (),
        DITTO_OPENAI_SPEECH_URL=openai.base_url,
        OPENAI_API_KEY="sk-loopback",
        DITTO_AVATARS_DIR=str(tmp_path / "packs"),
        DITTO_AVATAR="oval",
    )
    server.start()
    yield server
    server.stop()


def test_hands_free_a_spoken_question_is_answered(
    playwright: Playwright, hearing_server: Server, openai: FakeOpenAI, tmp_path: Path
) -> None:
    sound = recording(tmp_path / "person.wav", 1.0, said(QUESTION), 20.0)
    with speaking_into(playwright, sound) as page:
        open_page(page, hearing_server.url)
        page.locator("#hands-free").click()
        expect(page.locator(".message.user .words")).to_have_text(QUESTION)
        expect_phase(page, "speaking")
        expect(page.locator(".message.assistant .words")).not_to_be_empty()
    (sent,) = recordings(openai)
    samples = np.frombuffer(sent[sent.index(b"data") + 8 :][:64_000], "<i2").astype(float)
    assert np.abs(samples).max() > 3_000, "the microphone's sound did not arrive"


def test_holding_the_button_asks_when_it_is_released(
    playwright: Playwright, hearing_server: Server, tmp_path: Path
) -> None:
    sound = recording(tmp_path / "person.wav", said(QUESTION), 20.0)
    with speaking_into(playwright, sound) as page:
        wire = Wire(page)
        open_page(page, hearing_server.url)
        button = page.locator("#microphone")
        button.hover()
        page.mouse.down()
        expect(button).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(2_500)  # the person speaks
        page.mouse.up()
        expect(page.locator(".message.user .words")).to_have_text(QUESTION)
        expect_phase(page, "speaking")
        assert [m["mode"] for m in wire.of("audio.start")] == ["push_to_talk"]
        assert len(wire.of("audio.stop")) == 1


def test_speaking_over_the_presenter_interrupts(
    playwright: Playwright, hearing_server: Server, tmp_path: Path
) -> None:
    sound = recording(tmp_path / "person.wav", 1.5, said("Wait, please stop that now."), 20.0)
    with speaking_into(playwright, sound) as page:
        open_page(page, hearing_server.url)
        ask(page, LONG)
        expect_phase(page, "speaking")
        page.locator("#hands-free").click()
        expect(page.locator(".message.user .words").last).to_have_text(QUESTION)
        expect_phase(page, "speaking")


def test_silence_asks_nothing(
    playwright: Playwright, hearing_server: Server, openai: FakeOpenAI, tmp_path: Path
) -> None:
    sound = recording(tmp_path / "silence.wav", 20.0)
    with speaking_into(playwright, sound) as page:
        wire = Wire(page)
        open_page(page, hearing_server.url)
        page.locator("#hands-free").click()
        expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "true")
        ask(page, "Hello")
        expect_phase(page, "speaking")
        expect_phase(page, "listening")
        assert len(wire.of("audio.start")) == 1
        assert recordings(openai) == []
        expect(page.locator(".message.user .words")).to_have_text("Hello")
