"""The page on phones and desktops, by keyboard alone, and in other people's settings."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes.page_server import Answer, PageServer
from tests.web.screen import ask, expect_phase, open_page, wait_until

pytestmark = pytest.mark.e2e

SIZES = [(360, 740), (390, 844), (768, 1024), (1280, 800), (1920, 1080), (740, 360)]
PARTS = ["#stage", "#text", "#languages", "#stage [part=status]", "#stage .mute"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_everything_is_in_view_and_nothing_scrolls_away(
    page: Page, server: PageServer, size: tuple[int, int]
) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, server.url)
    for _ in range(2):
        for part in PARTS:
            box = page.locator(part).bounding_box()
            assert box is not None, part
            assert box["x"] >= 0, part
            assert box["y"] >= 0, part
            assert box["x"] + box["width"] <= width + 0.5, part
            assert box["y"] + box["height"] <= height + 0.5, part
        overflow = page.evaluate(
            "() => [document.documentElement.scrollWidth - innerWidth,"
            " document.documentElement.scrollHeight - innerHeight]"
        )
        assert max(overflow) <= 0
        ask(page, "A question that is long enough to need more than one line on a phone " * 3)
        expect_phase(page, "speaking")


def test_the_stage_is_large(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    box = page.locator("#stage").bounding_box()
    assert box is not None
    assert box["height"] > 640
    assert box["width"] / box["height"] == pytest.approx(256 / 320, rel=0.02)


def test_the_keyboard_of_a_phone_leaves_room_for_face_and_text(
    page: Page, server: PageServer
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    open_page(page, server.url)
    page.locator("#text").focus()
    page.set_viewport_size({"width": 360, "height": 400})
    wait_until(page, "document.getElementById('app').offsetHeight <= 400")
    for part in ("#stage", "#text"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 400.5
    stage = page.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["height"] > 180


def test_long_answers_scroll_in_their_own_place(page: Page, server: PageServer) -> None:
    server.default = Answer(sentences=("A rather long sentence. " * 120,))
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    wait_until(page, "log.scrollHeight > log.clientHeight + 100")
    wait_until(page, "log.scrollHeight - log.scrollTop - log.clientHeight < 4")


def test_one_can_type_at_once(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    assert server.wait_for("user.text")["text"] == "Hello"


def test_the_keyboard_alone_does_everything(page: Page, server: PageServer) -> None:
    server.answers["two\nlines"] = Answer(seconds=8)
    open_page(page, server.url)
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            "() => { let focused = document.activeElement;"
            " focused = focused.shadowRoot?.activeElement ?? focused;"
            " const { outlineStyle } = getComputedStyle(focused);"
            " return [focused.id || focused.lang || focused.className,"
            " focused === document.body || focused.id === 'text' || outlineStyle !== 'none']; }"
        )
        reached.add(name)
        assert outlined, f"no visible focus on {reached}"
    assert {"presenter-button", "en", "ko", "mute", "microphone", "hands-free", "text"} <= reached
    page.locator("#text").focus()
    page.keyboard.type("two")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lines")
    page.keyboard.press("Enter")
    assert server.wait_for("user.text")["text"] == "two\nlines"
    expect_phase(page, "speaking")
    page.keyboard.press("Escape")
    server.wait_for("interrupt")
    expect_phase(page, "ready")
    expect(page.locator("#text")).to_be_focused()


def test_enter_within_a_korean_syllable_does_not_send(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    page.locator("#text").fill("안녕")
    page.evaluate(
        "document.getElementById('text').dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true }))"
    )
    expect(page.locator("#text")).to_have_value("안녕")
    page.keyboard.press("Enter")
    assert server.wait_for("user.text")["text"] == "안녕"


def test_empty_text_is_not_sent(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    ask(page, "   ")
    ask(page, "Hello")
    assert server.wait_for("user.text")["text"] == "Hello"


def test_a_suggestion_is_a_question(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    page.get_by_role("button", name="What can you do?").click()
    assert server.wait_for("user.text")["text"] == "What can you do?"
    expect(page.locator("#welcome")).to_be_hidden()


def test_captions_and_status_are_told_to_screen_readers(page: Page, server: PageServer) -> None:
    open_page(page, server.url)
    expect(page.locator("#stage [part=caption]")).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("status")).to_have_text("Ready")
    expect(page.get_by_role("log")).to_be_visible()
    expect(page.get_by_role("textbox", name="Your question")).to_be_visible()
    nameless = page.evaluate(
        "[...document.querySelectorAll('button')].filter((button) => !button.hidden"
        " && !button.ariaLabel && !button.textContent.trim()).map((button) => button.id)"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(
    browser: Browser, server: PageServer, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, locale="en-US")  # type: ignore[arg-type]
    page = context.new_page()
    open_page(page, server.url)
    contrast = page.evaluate(
        """() => {
          const light = (color) => {
            const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map((value) => {
              const x = value / 255;
              return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ratio = (a, b) => {
            const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
            return (high + 0.05) / (low + 0.05);
          };
          const ground = getComputedStyle(document.body).backgroundColor;
          const of = (selector) => getComputedStyle(document.querySelector(selector)).color;
          return [ratio(of("#welcome-title"), ground), ratio(of(".welcome p"), ground)];
        }"""
    )
    assert min(contrast) >= 4.5
    context.close()


def test_less_motion_is_respected(browser: Browser, server: PageServer) -> None:
    context = browser.new_context(reduced_motion="reduce", locale="en-US")
    page = context.new_page()
    open_page(page, server.url)
    ask(page, "Hello")
    expect_phase(page, "speaking")
    dot = "(status) => getComputedStyle(status, '::before').animationName"
    assert page.locator("#stage [part=status]").evaluate(dot) == "none"
    context.close()
