"""Sound: what a browser blocks, what the person turns off, and the microphone."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.fakes.browser import BLOCKED_SOUND_FLAG, chromium
from tests.fakes.page_server import IDLE_FRAMES, Answer, PageServer
from tests.web.screen import ask, expect_phase, open_page, wait_until

pytestmark = pytest.mark.e2e

SPEAKING = "[...stage.shadowRoot.querySelectorAll('video[src]')].find((v) => !v.loop && !v.paused)"


@pytest.fixture(scope="module")
def strict_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that plays no sound before the person has touched the page."""
    with chromium(playwright, [BLOCKED_SOUND_FLAG]) as browser:
        yield browser


def test_a_blocked_answer_plays_silently_until_one_tap(
    strict_browser: Browser, server: PageServer
) -> None:
    page = strict_browser.new_page(locale="en-US")
    server.default = Answer(seconds=6)
    # Nothing may look into the page before: to the browser that is a touch of the person.
    page.goto(server.url)
    server.wait_for("hello")
    server.say_to_all("A greeting that nobody asked for.")
    server.wait_for("playback", state="painted")
    unmute = page.get_by_role("button", name="Tap to hear the answer")
    expect(unmute).to_be_visible()
    expect_phase(page, "speaking")
    assert page.evaluate(f"{SPEAKING}.muted") is True
    unmute.click()
    expect(unmute).to_be_hidden()
    assert page.evaluate(f"{SPEAKING}.muted") is False
    page.close()


def test_sound_needs_no_tap_after_a_question(strict_browser: Browser, server: PageServer) -> None:
    page = strict_browser.new_page(locale="en-US")
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    assert page.evaluate(f"{SPEAKING}.muted") is False
    expect(page.locator("#stage .unmute")).to_be_hidden()
    page.close()


def test_sound_stays_off_when_the_person_turns_it_off(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    mute = page.get_by_role("button", name="Mute")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    ask(page, "Hello")
    expect_phase(page, "speaking")
    assert page.evaluate(f"{SPEAKING}.muted") is True
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(f"{SPEAKING}.muted") is False


@pytest.fixture(scope="module")
def microphone_browser(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose microphone plays a 440 Hz tone."""
    path: Path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    t = np.arange(48_000 * 2) / 48_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((0.5 * np.sin(2 * np.pi * 440 * t) * 32767).astype("<i2").tobytes())
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}",
    ]
    with chromium(playwright, flags) as browser:
        yield browser


def test_hands_free_sends_what_is_said_as_16_khz_samples(
    microphone_browser: Browser, server: PageServer
) -> None:
    page = microphone_browser.new_page(locale="en-US")
    open_page(page, server.url)
    page.get_by_role("button", name="Talk hands-free").click()
    start = server.wait_for("audio.start")
    assert start["mode"] == "hands_free"
    assert 0 < start["idle_frame"] < IDLE_FRAMES
    expect_phase(page, "listening")
    server.wait_for("audio", count=30)
    page.get_by_role("button", name="Talk hands-free", pressed=True).click()
    server.wait_for("audio.stop")
    expect_phase(page, "ready")
    samples = np.frombuffer(server.audio, "<i2").astype(np.float32) / 32768
    # Echo and noise suppression need a moment before they let a steady tone through or hold it.
    spectrum = np.abs(np.fft.rfft(samples[: 16_000 // 2]))
    assert np.abs(samples).max() > 0.01
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=10)
    page.close()


def test_push_to_talk_lasts_as_long_as_the_key_is_held(
    microphone_browser: Browser, server: PageServer
) -> None:
    page = microphone_browser.new_page(locale="en-US")
    open_page(page, server.url)
    page.locator("#microphone").focus()
    page.keyboard.down(" ")
    assert server.wait_for("audio.start")["mode"] == "push_to_talk"
    server.wait_for("audio", count=12)
    page.keyboard.up(" ")
    server.wait_for("audio.stop")
    expect_phase(page, "ready")
    page.close()


def test_push_to_talk_by_a_click_of_assistive_technology_toggles(
    microphone_browser: Browser, server: PageServer
) -> None:
    page = microphone_browser.new_page(locale="en-US")
    open_page(page, server.url)
    page.evaluate("document.getElementById('microphone').click()")
    expect(page.get_by_role("button", name="Hold to talk", pressed=True)).to_be_visible()
    assert server.wait_for("audio.start")["mode"] == "push_to_talk"
    server.wait_for("audio", count=12)
    page.evaluate("document.getElementById('microphone').click()")
    server.wait_for("audio.stop")
    expect(page.get_by_role("button", name="Hold to talk", pressed=False)).to_be_visible()
    page.close()


def test_a_short_press_of_key_or_pointer_toggles_once(
    microphone_browser: Browser, server: PageServer
) -> None:
    page = microphone_browser.new_page(locale="en-US")
    open_page(page, server.url)
    button = page.locator("#microphone")

    def press(with_key: bool) -> None:
        if with_key:
            button.press("Enter")
        else:
            button.click()

    for count, with_key in enumerate((False, True), 1):
        press(with_key)
        server.wait_for("audio.start", count=count)
        expect(button).to_have_attribute("aria-pressed", "true")
        press(with_key)
        server.wait_for("audio.stop", count=count)
        expect(button).to_have_attribute("aria-pressed", "false")
    assert len([m for m in server.received if m["type"] == "audio.start"]) == 2
    page.close()


def test_a_microphone_that_was_denied_was_never_on(
    playwright: Playwright, server: PageServer
) -> None:
    # Without the fake dialogue that always says yes.
    with chromium(playwright, ["--use-fake-device-for-media-stream"]) as browser:
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        open_page(page, server.url)
        page.locator("#microphone").click()
        expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked")
        expect_phase(page, "ready")
        context.grant_permissions(["microphone"])
        page.locator("#hands-free").click()
        server.wait_for("audio", count=3)
        page.locator("#hands-free").click()
        server.wait_for("audio.stop")
    kinds = [m["type"] for m in server.received if m["type"].startswith("audio")]
    assert [kinds[0], kinds[-1]] == ["audio.start", "audio.stop"]
    assert kinds.count("audio.start") == kinds.count("audio.stop") == 1
    assert server.wait_for("audio.start")["mode"] == "hands_free"


def test_speaking_interrupts_the_answer(microphone_browser: Browser, server: PageServer) -> None:
    server.default = Answer(seconds=8)
    page = microphone_browser.new_page(locale="en-US")
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    page.locator("#microphone").hover()
    page.mouse.down()
    server.wait_for("interrupt")
    server.wait_for("playback", state="dropped")
    page.close()


def test_a_transcript_is_shown_while_the_person_speaks(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    server.send_to_all({"type": "transcript", "text": "what I am say", "final": False})
    expect(page.locator("#stage [part=caption]")).to_have_text("what I am say")
    server.send_to_all({"type": "transcript", "text": "What I am saying.", "final": True})
    expect(page.locator("#stage [part=caption]")).to_be_empty()


def test_the_browser_recognises_where_the_server_cannot(page: Page, server: PageServer) -> None:
    server.transcription = "browser"
    page.add_init_script(
        """
        globalThis.SpeechRecognition = globalThis.webkitSpeechRecognition = class {
          start() { globalThis.recognition = this; }
          stop() { this.onend(); }
        };
        globalThis.hear = (transcript, isFinal) => {
          const result = Object.assign([{ transcript }], { isFinal });
          recognition.onresult({ resultIndex: 0, results: [result] });
        };
        """
    )
    open_page(page, server.url)
    page.get_by_role("button", name="Talk hands-free").click()
    expect(page.get_by_role("alert")).to_contain_text("Your browser turns your speech into text")
    # What listens is loaded when it is needed for the first time.
    wait_until(page, "globalThis.recognition")
    page.evaluate("hear('hello th', false)")
    expect(page.locator("#stage [part=caption]")).to_have_text("hello th")
    page.evaluate("hear('hello there', true)")
    assert server.wait_for("user.text")["text"] == "hello there"
    expect_phase(page, "speaking")
    # The presenter's own words from the loudspeaker are no interruption, another sentence is.
    page.evaluate("hear('this is the first', true)")
    page.evaluate("hear('stop now please', true)")
    assert server.wait_for("user.text", count=2)["text"] == "stop now please"
    server.wait_for("playback", state="dropped")
    assert not [m for m in server.received if m["type"] == "audio.start"]
    # Nor are they a question, when the recogniser tells them after the sentence has ended.
    server.wait_for("playback", state="ended", count=2)
    expect_phase(page, "listening")
    page.evaluate("hear('and this is the second one', true)")
    page.evaluate("hear('what else', true)")
    assert server.wait_for("user.text", count=3)["text"] == "what else"


def test_a_page_without_any_recognition_offers_no_microphone(
    page: Page, server: PageServer
) -> None:
    server.transcription = "browser"
    page.add_init_script(
        "delete globalThis.SpeechRecognition; delete globalThis.webkitSpeechRecognition"
    )
    open_page(page, server.url)
    expect(page.locator("#microphone")).to_be_hidden()
    expect(page.locator("#hands-free")).to_be_hidden()
