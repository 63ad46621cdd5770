"""What a person notices of the page, in a real Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ditto_avatar.media.encode import mime_type
from ditto_avatar.types import FRAME_RATE_HZ
from tests.fakes.page_server import IDLE_FRAMES, Answer, PageServer
from tests.web.screen import (
    ask,
    assert_never_blank,
    expect_phase,
    open_page,
    steps,
    wait_until,
    watch,
    watched,
)

pytestmark = pytest.mark.e2e

NO_STREAMS = "delete globalThis.MediaSource; delete globalThis.ManagedMediaSource;"


def test_the_idle_loop_plays_over_its_seam_without_a_gap(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    watch(page)
    wait_until(
        page, "sampler.samples.some(({ pose }, i, all) => pose < 10 && all[i - 1]?.pose > 90)"
    )
    samples = watched(page)
    assert_never_blank(samples)
    assert len({sample["pose"] for sample in samples}) > 10


def test_an_answer_is_read_seen_and_heard(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    watch(page, hears=True)
    ask(page, "Hello")
    expect(page.locator(".message.user .words")).to_have_text("Hello")
    expect(page.locator("#stage [part=caption]")).to_have_text("This is the first sentence.")
    expect_phase(page, "speaking")
    expect(page.locator("#stage [part=caption]")).to_have_text("And this is the second one.")
    expect_phase(page, "ready")
    expect(page.locator(".message.assistant .words")).to_have_text(
        "This is the first sentence. And this is the second one."
    )
    expect(page.locator("#stage [part=caption]")).to_be_empty()
    samples = watched(page)
    assert_never_blank(samples)
    speaking = [sample for sample in samples if sample["phase"] == "speaking"]
    assert len({sample["pose"] for sample in speaking}) > 20
    assert max(sample["loud"] for sample in speaking) > 0.05


def test_the_server_learns_what_was_seen_and_heard(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    painted = server.wait_for("playback", state="painted")
    assert painted["since_text_ms"] > painted["waited_ms"] >= 0
    playing = server.wait_for("playback", state="playing")
    assert playing["segment"] == painted["segment"]
    assert 500 < playing["media_ms"] < 1300
    assert abs(playing["drift_ms"]) < 500
    ended = server.wait_for("playback", state="ended", count=2)
    assert ended["media_ms"] == pytest.approx(1200, abs=60)
    assert server.wait_for("user.text")["idle_frame"] > 0
    # So that a spoken question begins where the idle loop goes on.
    last_frame = server.sessions["session-1"].history[-1]["clips"][-1]["last_frame"]
    assert (ended["idle_frame"] - last_frame) % IDLE_FRAMES in (0, 1, 2)


def test_sentences_and_idle_loop_join_without_a_jump(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    server.wait_for("playback", state="playing")
    watch(page)
    server.wait_for("playback", state="painted", count=2)
    server.wait_for("playback", state="playing", count=2)
    joined = watched(page)
    assert_never_blank(joined)
    # Pictures may be skipped on a busy machine, but the motion never runs backwards at the cut.
    assert min(steps(joined)) >= -1
    watch(page)
    expect_phase(page, "ready")
    wait_until(page, "sampler.samples.filter(({phase}) => phase === 'ready').length > 40")
    back = watched(page)
    assert_never_blank(back)
    # In the middle of the fade two poses are mixed and cannot be read; before and after they can,
    # and between them the head has not moved further than the time that went by. On a machine that
    # paints late it has moved less, but not back.
    last = [sample for sample in back if sample["phase"] == "speaking"][-1]
    moved = (back[-1]["pose"] - last["pose"]) % IDLE_FRAMES
    due = (back[-1]["t"] - last["t"]) / 1000 * FRAME_RATE_HZ
    assert moved <= due + 6 or moved == IDLE_FRAMES - 1


def test_whole_clips_play_where_the_browser_cannot_stream(page: Page, server: PageServer) -> None:
    page.add_init_script(NO_STREAMS)
    open_page(page, server.url)
    assert server.wait_for("hello")["playback"] == "clips"
    watch(page)
    ask(page, "Hello")
    server.wait_for("playback", state="ended", count=2)
    expect_phase(page, "ready")
    assert_never_blank(watched(page))


@pytest.mark.parametrize(
    "fault",
    [Answer(fragments=2), Answer(damaged=True), Answer(fragments=0)],
    ids=["breaks off", "is damaged", "never comes"],
)
def test_a_stream_that_fails_goes_on_as_a_clip(
    page: Page, server: PageServer, fault: Answer
) -> None:
    server.default = fault
    open_page(page, server.url)
    watch(page)
    ask(page, "Hello")
    second = server.wait_for("playback", state="ended", count=2)
    assert second["media_ms"] == pytest.approx(1200, abs=60)
    expect_phase(page, "ready")
    assert_never_blank(watched(page))


@pytest.mark.parametrize("way", ["button", "escape", "text"])
def test_an_interruption_leads_back_to_the_idle_loop(
    page: Page, server: PageServer, way: str
) -> None:
    server.answers["Long"] = Answer(seconds=8)
    open_page(page, server.url)
    ask(page, "Long")
    expect_phase(page, "speaking")
    server.wait_for("playback", state="playing")
    watch(page)
    if way == "button":
        page.get_by_role("button", name="Stop the answer").click()
    elif way == "escape":
        page.keyboard.press("Escape")
    else:
        ask(page, "Another")
    dropped, unseen = (server.wait_for("playback", state="dropped", count=n) for n in (1, 2))
    assert 900 < dropped["media_ms"] < 8000
    assert 0 <= dropped["idle_frame"] < IDLE_FRAMES
    assert (unseen["segment"] != dropped["segment"], unseen["media_ms"]) == (True, 0)
    assert "drift_ms" not in unseen
    expect(page.locator(".message.assistant").first).to_contain_text("stopped")
    if way == "text":
        server.wait_for("playback", state="ended", count=2)
    else:
        server.wait_for("interrupt")
    expect_phase(page, "ready")
    wait_until(page, "sampler.samples.at(-1).phase === 'ready'")
    assert_never_blank(watched(page))
    # What was left of the interrupted answer is not shown afterwards.
    assert not [m for m in server.received if m.get("media_ms", 0) > 7000]


def test_an_interruption_within_the_first_fade_shows_no_gap(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    watch(page)
    page.evaluate(
        """() => {
          const stage = document.getElementById("stage");
          const stop = () => document.getElementById("interrupt").click();
          new MutationObserver((_, observer) => {
            if (stage.dataset.phase !== "speaking") return;
            observer.disconnect();
            requestAnimationFrame(() => requestAnimationFrame(stop));
          }).observe(stage, { attributes: true });
        }"""
    )
    ask(page, "Hello")
    dropped = server.wait_for("playback", state="dropped")
    assert dropped["media_ms"] < 600
    expect_phase(page, "ready")
    wait_until(page, "[...stage.shadowRoot.querySelectorAll('video[src]')].length === 1")
    assert_never_blank(watched(page))


@pytest.mark.parametrize("waits_for", ["a stream", "a clip"])
def test_a_sentence_that_had_not_begun_was_not_heard(
    page: Page, server: PageServer, waits_for: str
) -> None:
    if waits_for == "a clip":
        page.add_init_script(NO_STREAMS)
    open_page(page, server.url)
    about = {"turn": "t", "generation": 1}
    sentence = {
        "segment": "s",
        "index": 0,
        "text": "Slow.",
        "mime": mime_type(512, 512),
        "first_frame": 0,
    }
    server.send_to_all({"type": "turn.started", **about, "kind": "message", "text": "?"})
    server.send_to_all({"type": "segment.started", **about, **sentence})
    server.send_to_all({"type": "text.delta", **about, "text": "Slow."})
    # What was sent before is known by then.
    expect(page.locator(".message.assistant .words")).to_have_text("Slow.")
    page.keyboard.press("Escape")
    server.wait_for("interrupt")
    reports = [m for m in server.received if m["type"] == "playback"]
    assert [(m["segment"], m["state"], m["media_ms"]) for m in reports] == [("s", "dropped", 0)]


def test_two_people_see_only_their_own_answers(
    context: BrowserContext, browser: Browser, server: PageServer
) -> None:
    server.answers["One"] = Answer(sentences=("Answer for the first.",))
    server.answers["Two"] = Answer(sentences=("Answer for the second.",))
    other = browser.new_context(locale="en-US")
    pages = [context.new_page(), other.new_page()]
    for page in pages:
        open_page(page, server.url)
    for page, text in zip(pages, ("One", "Two"), strict=True):
        ask(page, text)
    for page, text in zip(pages, ("first", "second"), strict=True):
        expect(page.locator(".message.assistant .words")).to_have_text(f"Answer for the {text}.")
        expect_phase(page, "ready")
        expect(page.locator(".message")).to_have_count(2)
    assert len(server.sessions) == 2
    other.close()


def test_a_lost_line_is_told_and_comes_back_into_the_same_session(
    page: Page, server: PageServer
) -> None:
    open_page(page, server.url)
    server.hang_up()
    expect_phase(page, "waiting")
    expect(page.locator("#stage [part=status]")).to_have_text("Reconnecting…")
    ask(page, "Asked in the dark")
    expect(page.locator(".message.user")).to_have_class(re.compile("unsent"))
    page.evaluate("dispatchEvent(new Event('online'))")
    assert server.wait_for("hello", count=2)["session"] == "session-1"
    assert server.wait_for("user.text")["text"] == "Asked in the dark"
    server.wait_for("playback", state="ended", count=2)
    expect_phase(page, "ready")


def test_a_line_lost_in_mid_sentence_is_completed_by_the_clip(
    page: Page, server: PageServer
) -> None:
    server.default = Answer(sentences=("One sentence.",), seconds=3, pace_s=0.3)
    open_page(page, server.url)
    ask(page, "Hello")
    server.wait_for("playback", state="painted")
    server.hang_up()
    expect(page.locator("#stage [part=status]")).to_have_text("Reconnecting…")
    page.evaluate("dispatchEvent(new Event('online'))")
    ended = server.wait_for("playback", state="ended")
    assert ended["media_ms"] == pytest.approx(3000, abs=60)


@pytest.mark.parametrize("cut", ["while it thinks", "in mid-sentence"])
def test_a_server_that_was_killed_leaves_nobody_waiting(
    page: Page, server: PageServer, cut: str
) -> None:
    server.answers["Cut"] = Answer(
        hold=cut == "while it thinks", sentences=("A long one.", "And more."), seconds=6, pace_s=0.1
    )
    open_page(page, server.url)
    ask(page, "Hello")
    server.wait_for("playback", state="ended", count=2)
    expect_phase(page, "ready")
    ask(page, "Cut")
    expect_phase(page, "thinking" if cut == "while it thinks" else "speaking")
    watch(page)
    server.crash()
    expect_phase(page, "waiting")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect_phase(page, "ready")
    expect(page.get_by_role("button", name="Stop the answer")).to_be_hidden()
    expect(page.locator("#stage [part=caption]")).to_be_empty()
    assert_never_blank(watched(page))
    page.get_by_role("button", name="Play this answer again").click()
    expect_phase(page, "speaking")
    ask(page, "Hello")
    server.wait_for("playback", state="ended", count=4)
    expect_phase(page, "ready")


def test_a_reloaded_page_remembers_and_can_play_an_answer_again(
    page: Page, server: PageServer
) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    page.reload()
    expect_phase(page, "ready")
    expect(page.locator(".message")).to_have_count(2)
    page.get_by_role("button", name="Play this answer again").click()
    expect_phase(page, "speaking")
    expect(page.locator("#stage [part=caption]")).to_have_text("And this is the second one.")
    expect_phase(page, "ready")


def test_a_wrong_token_begins_a_new_conversation(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    server.sessions.clear()
    page.reload()
    expect_phase(page, "ready")
    assert len(server.sessions) == 1


def test_only_one_conversation_for_each_tab(context: BrowserContext, server: PageServer) -> None:
    for _ in range(2):
        open_page(context.new_page(), server.url)
    assert len(server.sessions) == 2


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        ("rate_limited", "x", "That was a little fast. Please wait a moment and try again."),
        ("invalid_input", "The text is empty.", "The text is empty."),
    ],
)
def test_an_error_is_one_calm_sentence_and_the_session_lives_on(
    page: Page, server: PageServer, code: str, message: str, shown: str
) -> None:
    server.answers["Bad"] = Answer(error=(code, message))
    open_page(page, server.url)
    ask(page, "Bad")
    notice = page.get_by_role("alert")
    expect(notice).to_have_text(shown)
    expect(page.locator(".message.user")).to_contain_text("not sent")
    page.get_by_role("button", name="Dismiss").click()
    expect(notice).to_be_empty()
    ask(page, "Good")
    server.wait_for("playback", state="ended", count=2)


def test_a_full_server_is_told(page: Page, server: PageServer) -> None:
    server.refuse_with = 1013
    page.goto(server.url)
    expect(page.get_by_role("alert")).to_contain_text("Everyone is being served")
    expect_phase(page, "waiting")
    server.refuse_with = None
    page.evaluate("dispatchEvent(new Event('online'))")
    expect_phase(page, "ready")
    expect(page.get_by_role("alert")).to_be_empty()


@pytest.mark.parametrize(
    ("language", "notice", "status"),
    [
        ("English", "does not take conversations from this page's address", "Disconnected"),
        ("한국어", "이 페이지의 주소에서 오는 대화를 받지 않아요", "연결이 끊어졌어요"),
    ],
)
def test_a_page_that_the_server_does_not_take_says_so_and_stops_trying(
    page: Page, server: PageServer, language: str, notice: str, status: str
) -> None:
    server.refuse_with = 4403
    page.goto(server.url)
    page.get_by_role("button", name=language).click()
    expect(page.get_by_role("alert")).to_contain_text(notice)
    expect(page.locator("#stage [part=status]")).to_have_text(status)
    expect_phase(page, "closed")
    server.refuse_with = None
    page.evaluate("dispatchEvent(new Event('online'))")
    expect_phase(page, "closed")
    assert not server.received


def test_the_place_in_the_queue_and_the_thinking_are_told(page: Page, server: PageServer) -> None:
    server.default = Answer(hold=True, queue=3)
    open_page(page, server.url)
    ask(page, "Hello")
    expect(page.locator("#stage [part=status]")).to_have_text("Waiting, 2 ahead of you")
    server.default = Answer(hold=True, queue=1)
    ask(page, "Hello once more")
    expect(page.locator("#stage [part=status]")).to_have_text("You are next.")
    server.default = Answer(hold=True)
    ask(page, "Hello again")
    expect(page.locator("#stage [part=status]")).to_have_text("Thinking…")
    server.release.set()
    expect_phase(page, "speaking")


def test_a_notice_of_the_server_is_shown(page: Page, server: PageServer) -> None:
    server.notices = [{"code": "fallback_speech", "message": "The built-in voice speaks for now."}]
    open_page(page, server.url)
    expect(page.get_by_role("alert")).to_have_text("The built-in voice speaks for now.")


def test_everything_is_there_in_korean(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    page.get_by_role("button", name="한국어").click()
    assert server.wait_for("language.select")["language"] == "ko"
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.get_by_role("heading", name="안녕하세요, 도트입니다.")).to_be_visible()
    expect(page.locator("#stage [part=status]")).to_have_text("준비됐어요")
    field = page.get_by_role("textbox", name="질문")
    expect(field).to_have_attribute("placeholder", "무엇이든 물어보세요")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    assert server.wait_for("hello", count=2)["language"] == "ko"


def test_the_browser_s_language_is_the_first_one(browser: Browser, server: PageServer) -> None:
    context = browser.new_context(locale="ko-KR")
    page = context.new_page()
    open_page(page, server.url)
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    context.close()


def test_another_presenter_comes_without_a_gap(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    watch(page)
    page.get_by_role("button", name=re.compile("Presenter: Dot")).click()
    page.get_by_role("button", name=re.compile("Dash")).click()
    assert server.wait_for("avatar.select")["avatar"] == "dash"
    expect(page.locator("#presenter-name")).to_have_text("Dash")
    wait_until(
        page,
        "[...stage.shadowRoot.querySelectorAll('video')]"
        ".filter((video) => video.currentSrc.includes('dash') && video.src).length === 1"
        " && [...stage.shadowRoot.querySelectorAll('video[src]')].length === 1",
    )
    assert_never_blank(watched(page))


def test_a_presenter_chosen_while_one_speaks_waits_for_the_end(
    page: Page, server: PageServer
) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    page.get_by_role("button", name=re.compile("Presenter: Dot")).click()
    page.get_by_role("button", name=re.compile("Dash")).click()
    server.wait_for("playback", state="ended", count=2)
    expect_phase(page, "ready")
    wait_until(
        page,
        "[...stage.shadowRoot.querySelectorAll('video[src]')].every("
        "(video) => video.currentSrc.includes('dash'))",
    )


def test_the_overlay_of_developers_shows_the_waterfall(page: Page, server: PageServer) -> None:
    open_page(page, f"{server.url}/?debug")
    ask(page, "Hello")
    overlay = page.get_by_label("Debug")
    expect(overlay).to_contain_text("first fragment98 ms")
    expect(overlay).to_contain_text("first painted")
    expect(overlay).to_contain_text(re.compile(r"A/V drift-?\d+ ms"))


def test_nothing_comes_from_elsewhere_and_nothing_is_refused(
    page: Page, server: PageServer
) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    open_page(page, server.url)
    ask(page, "Hello")
    server.wait_for("playback", state="ended", count=2)
    assert complaints == []
    foreign = [url for url in requests if not url.startswith((server.url, f"blob:{server.url}"))]
    assert foreign == []
