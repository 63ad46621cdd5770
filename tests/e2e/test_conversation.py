"""A conversation as a person has it: a real server, a real browser, the embedded engines."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.e2e.conftest import Server
from tests.e2e.wire import Wire, session_of
from tests.web.screen import (
    ask,
    assert_never_blank,
    expect_phase,
    open_page,
    wait_until,
    watch,
    watched,
)

pytestmark = pytest.mark.e2e

NO_STREAMS = "delete globalThis.MediaSource; delete globalThis.ManagedMediaSource;"


def frames_painted(page: Page) -> int:
    """Pictures that the browser has shown of all layers together."""
    count: int = page.evaluate(
        "[...stage.shadowRoot.querySelectorAll('video')].reduce((sum, video) =>"
        " sum + video.getVideoPlaybackQuality().totalVideoFrames, 0)"
    )
    return count


def history(page: Page, server: Server) -> list[dict[str, Any]]:
    """What the server keeps of the page's conversation."""
    path, headers = session_of(page)
    answer = page.request.get(f"{server.url}{path}", headers=headers)
    entries: list[dict[str, Any]] = answer.json()["history"]
    return entries


def test_a_question_is_answered_in_words_picture_and_sound(page: Page, server: Server) -> None:
    wire = Wire(page)
    open_page(page, server.url)
    before = frames_painted(page)
    watch(page, hears=True)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect(page.locator("#stage [part=caption]")).not_to_be_empty()
    expect(page.locator(".message.assistant .words")).not_to_be_empty()
    expect_phase(page, "ready")
    samples = watched(page)
    assert_never_blank(samples)
    speaking = [sample for sample in samples if sample["phase"] == "speaking"]
    seconds = (speaking[-1]["t"] - speaking[0]["t"]) / 1000
    assert frames_painted(page) - before > 12 * seconds
    assert max(sample["loud"] for sample in speaking) > 0.01
    assert wire.fragments > 3
    assert wire.of("playback", state="painted")[0]["since_text_ms"] > 0
    ended = wire.of("playback", state="ended")
    assert ended
    assert max(abs(report["drift_ms"]) for report in ended) <= 80
    idle = page.locator("#stage video[src*='idle']")
    time = idle.evaluate("(video) => video.currentTime")
    wait_until(page, f"stage.shadowRoot.querySelector('video[src]').currentTime != {time}")


def test_the_screen_itself_is_never_blank(page: Page, server: Server) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    pictures: list[bytes] = []
    while not pictures or page.locator("#stage").get_attribute("data-phase") != "ready":
        pictures.append(page.locator("#stage").screenshot(type="jpeg", quality=70))
    for picture in pictures:
        grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        middle = grey[grey.shape[0] // 4 : -grey.shape[0] // 3]
        assert middle.std() > 12, "the stage shows no face"


def test_korean_is_answered_in_korean(page: Page, server: Server) -> None:
    open_page(page, server.url)
    page.get_by_role("button", name="한국어").click()
    ask(page, "안녕하세요, 무엇을 할 수 있나요?")
    expect_phase(page, "speaking")
    expect(page.locator("#stage [part=caption]")).to_have_text(re.compile("[가-힣]"))
    expect(page.locator(".message.assistant .words")).to_have_text(re.compile("[가-힣]"))
    page.keyboard.press("Escape")
    expect_phase(page, "ready")


def test_two_people_at_once_hear_only_their_own_answer(browser: Browser, server: Server) -> None:
    contexts = [browser.new_context(locale="en-US") for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        open_page(page, server.url)
    ask(pages[0], "Do I need a GPU?")
    ask(pages[1], "안녕하세요")
    for page in pages:
        expect_phase(page, "speaking")
    expect(pages[0].locator(".message.assistant .words")).to_have_text(re.compile("Nvidia"))
    expect(pages[1].locator(".message.assistant .words")).to_have_text(re.compile("[가-힣]"))
    for page in pages:
        expect_phase(page, "ready")
        expect(page.locator(".message")).to_have_count(2)
    for context in contexts:
        context.close()


def test_an_interruption_stops_the_answer_and_takes_the_next_question(
    page: Page, server: Server
) -> None:
    wire = Wire(page)
    open_page(page, server.url)
    ask(page, "What can you do?")
    expect_phase(page, "speaking")
    watch(page)
    page.get_by_role("button", name="Stop the answer").click()
    expect_phase(page, "ready")
    assert wire.of("playback", state="dropped")
    expect(page.locator(".message.assistant")).to_contain_text("stopped")
    ask(page, "Hello")
    expect_phase(page, "speaking")
    ask(page, "Do I need a GPU?")
    expect(page.locator(".message.assistant .words").last).to_have_text(re.compile("Nvidia"))
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert_never_blank(watched(page))


def test_what_was_heard_of_an_interrupted_answer_is_its_beginning(
    page: Page, server: Server
) -> None:
    open_page(page, server.url)
    ask(page, "What can you do?")
    expect_phase(page, "speaking")
    wait_until(
        page,
        "[...stage.shadowRoot.querySelectorAll('video[src]')]"
        ".some(({ loop, currentTime }) => !loop && currentTime > 1)",
    )
    ask(page, "Hello")
    expect(page.locator(".message.assistant")).to_have_count(2)
    expect_phase(page, "speaking")
    answer = next(entry for entry in history(page, server) if entry["role"] == "assistant")
    words, heard = answer["text"].split(), answer["heard"].split()
    assert heard == words[: len(heard)]
    assert 0 < len(heard) < len(words)
    page.reload()
    expect_phase(page, "ready")
    expect(page.locator(".message.assistant").first).to_contain_text("stopped")


def test_clips_are_played_where_streams_cannot_be(page: Page, server: Server) -> None:
    wire = Wire(page)
    page.add_init_script(NO_STREAMS)
    open_page(page, server.url)
    watch(page, hears=True)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    samples = watched(page)
    assert_never_blank(samples)
    assert wire.fragments == 0
    assert wire.of("playback", state="ended")
    assert max(sample["loud"] for sample in samples) > 0.01


def test_a_server_that_is_killed_comes_back_to_the_same_conversation(
    page: Page, own_server: Server
) -> None:
    open_page(page, own_server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    said = page.locator(".message.assistant .words").inner_text()
    own_server.kill()
    expect_phase(page, "waiting")
    expect(page.locator("#stage [part=status]")).to_have_text("Reconnecting…")
    own_server.start()
    expect_phase(page, "ready")
    expect(page.locator(".message.assistant .words").first).to_have_text(said)
    ask(page, "Hello again")
    expect_phase(page, "speaking")
    page.keyboard.press("Escape")
    page.reload()
    expect_phase(page, "ready")
    expect(page.locator(".message.assistant .words").first).to_have_text(said)


def test_an_answer_that_a_killed_server_cut_off_is_over_and_can_be_seen_again(
    page: Page, own_server: Server
) -> None:
    with page.expect_websocket() as line:
        open_page(page, own_server.url)
    with line.value.expect_event("framereceived", lambda frame: '"video_ready"' in str(frame)):
        ask(page, "What can you do?")
    own_server.kill()
    expect_phase(page, "waiting")
    own_server.start()
    expect_phase(page, "ready")
    expect(page.get_by_role("button", name="Stop the answer")).to_be_hidden()
    answer = page.locator(".message.assistant")
    expect(answer).to_contain_text("stopped")
    first = page.locator(".message.assistant .words").inner_text().split(".")[0]
    page.get_by_role("button", name="Play this answer again").click()
    expect(page.locator("#stage [part=caption]")).to_contain_text(first)
    ask(page, "Hello")
    expect_phase(page, "speaking")


def test_a_question_that_a_killed_server_never_confirmed_is_not_waited_for_in_vain(
    page: Page, own_server: Server
) -> None:
    killed = False

    def between(page_side: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            nonlocal killed
            if not killed and '"turn.started"' in str(message):
                killed = True
                own_server.kill()
            elif not killed or after:
                page_side.send(message)

        after = killed
        page_side.connect_to_server().on_message(pass_on)

    page.route_web_socket(re.compile("/ws$"), between)
    open_page(page, own_server.url)
    ask(page, "What can you do?")
    expect_phase(page, "waiting")
    expect(page.locator(".message.user")).to_have_class(re.compile("unsent"))
    own_server.start()
    expect(page.locator(".message.assistant .words")).not_to_be_empty()
    expect_phase(page, "ready")
    expect(page.locator(".message.user")).to_have_count(1)
    expect(page.locator(".message.user")).to_have_class(re.compile("done"))


def test_a_finished_answer_can_be_played_again_after_a_reload(page: Page, server: Server) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    page.reload()
    expect_phase(page, "ready")
    # Until the loop has painted, the poster is seen, which the sampler does not look at.
    wait_until(page, "stage.shadowRoot.querySelector('video[src]')?.currentTime > 0.1")
    watch(page, hears=True)
    page.get_by_role("button", name="Play this answer again").click()
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    samples = watched(page)
    assert_never_blank(samples)
    assert max(sample["loud"] for sample in samples) > 0.01


def test_a_text_that_is_too_long_is_refused_in_one_sentence(page: Page, server: Server) -> None:
    open_page(page, server.url)
    page.locator("#text").evaluate("(field) => field.removeAttribute('maxlength')")
    ask(page, "word " * 4000)
    expect(page.get_by_role("alert")).to_contain_text("characters")
    ask(page, "Hello")
    expect_phase(page, "speaking")


def test_the_keyboard_alone_holds_a_conversation_on_a_phone(
    browser: Browser, server: Server
) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, locale="ko-KR"
    )
    page = context.new_page()
    open_page(page, server.url)
    page.locator("#text").focus()
    page.keyboard.type("안녕하세요")
    page.keyboard.press("Enter")
    expect_phase(page, "speaking")
    expect(page.locator("#stage [part=caption]")).to_be_in_viewport()
    expect(page.locator("#text")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect_phase(page, "ready")
    context.close()


def test_nothing_is_loaded_from_elsewhere(page: Page, server: Server) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert complaints == []
    assert all(url.startswith((server.url, f"blob:{server.url}")) for url in requests)
