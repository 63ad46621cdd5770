"""The kiosk: a real server, a real browser, a keypad."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, expect

from tests.deadlines import TEST_DEADLINE_MS
from tests.e2e.conftest import Server
from tests.fakes.browser import SOUND_FLAG, chromium
from tests.web.screen import wait_until

pytestmark = pytest.mark.e2e

GREETING = "What would you like to know?"
INVITATION = "Come closer and ask me something."
QUESTION = "What can you do?"
TOTEM = {"width": 720, "height": 1280}
PASSCODE = "2468"


@pytest.fixture(scope="module")
def kiosk_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("kiosk"), DITTO_KIOSK_PASSCODE=PASSCODE)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def totem(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=TOTEM, locale="en-US")  # type: ignore[arg-type]
    context.set_default_timeout(TEST_DEADLINE_MS)
    yield context.new_page()
    context.close()


def open_kiosk(page: Page, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/?kiosk{query}")
    expect_ready(page)


def expect_ready(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("Ready")
    expect(page.locator("#questions li")).to_have_count(3)


def painted_in_full_view(page: Page) -> bool:
    """Whether everything that can be pressed is on the screen, and nothing is cut."""
    inside: bool = page.evaluate(
        """() => [...document.querySelectorAll("main button:not([hidden])")].every((button) => {
          const { top, left, right, bottom } = button.getBoundingClientRect();
          return top >= 0 && left >= 0 && right <= innerWidth && bottom <= innerHeight
            && button.scrollWidth <= button.clientWidth;
        })"""
    )
    return inside


def test_everything_is_done_by_keypad(totem: Page, kiosk_server: Server) -> None:
    open_kiosk(totem, kiosk_server)
    totem.keyboard.press("5")  # anything wakes it
    expect(totem.locator("#caption")).to_have_text(GREETING)
    totem.keyboard.press("1")
    expect(totem.locator("#status")).to_have_text("Speaking")
    expect(totem.locator("#caption")).not_to_have_text(GREETING)
    totem.keyboard.press("-")
    expect(totem.locator("#status")).to_have_text("Ready")
    totem.keyboard.press("+")
    expect(totem.locator("#status")).to_have_text("Speaking")
    totem.keyboard.press("-")
    high = totem.locator("#questions").bounding_box()
    totem.keyboard.press("8")
    expect(totem.locator("body")).to_have_class(re.compile(r"\blow\b"))
    low = totem.locator("#questions").bounding_box()
    assert high
    assert low
    assert low["y"] > high["y"]
    assert painted_in_full_view(totem)
    totem.keyboard.press("9")
    expect(totem.locator("body")).to_have_class(re.compile(r"\bcontrast\b"))
    totem.keyboard.press("0")
    expect(totem.locator("#questions li").first).to_contain_text("무엇을 할 수 있나요?")
    assert painted_in_full_view(totem)


def test_the_first_key_fills_the_screen_which_stays_on(totem: Page, kiosk_server: Server) -> None:
    # The browser's own lock, kept where the test can look at it.
    totem.add_init_script(
        "const ask = navigator.wakeLock.request.bind(navigator.wakeLock);"
        "navigator.wakeLock.request = async (kind) => (window.awake = await ask(kind));"
    )
    open_kiosk(totem, kiosk_server)
    wait_until(totem, "window.awake && !awake.released && awake.type === 'screen'")
    assert totem.evaluate("document.fullscreenElement") is None
    totem.keyboard.press("5")
    wait_until(totem, "document.fullscreenElement === document.documentElement")


def test_who_leaves_leaves_nothing_behind(totem: Page, kiosk_server: Server) -> None:
    totem.clock.install()
    open_kiosk(totem, kiosk_server)
    totem.locator("#questions button").first.click()
    expect(totem.locator("#status")).to_have_text("Speaking")
    totem.keyboard.press("0")
    kept = totem.evaluate("JSON.parse(sessionStorage.getItem('ditto-avatar.session'))")
    totem.keyboard.press("-")
    expect(totem.locator("#status")).to_have_text("준비됐어요")
    with totem.expect_response(lambda answer: answer.request.method == "DELETE") as erased:
        totem.clock.fast_forward(61_000)
        totem.clock.fast_forward(1_100)
    assert erased.value.status == 204
    expect_ready(totem)
    session = f"{kiosk_server.url}/api/sessions/{kept['session']}"
    answer = httpx.get(session, headers={"Authorization": f"Bearer {kept['token']}"})
    assert answer.status_code in (401, 404)
    expect(totem.locator("#again")).to_be_disabled()
    for _ in range(2):
        totem.clock.fast_forward(23_000)
    expect(totem.locator("#caption")).to_have_text(INVITATION)


def test_only_the_passcode_leads_out(totem: Page, kiosk_server: Server) -> None:
    open_kiosk(totem, kiosk_server)
    totem.keyboard.press("*")
    expect(totem.get_by_role("dialog", name="Passcode")).to_be_visible()
    for key in "1357":
        totem.keyboard.press(key)
    expect(totem.locator("#exit-typed")).to_have_text("••••")
    totem.keyboard.press("Enter")
    expect(totem.get_by_role("alert")).to_have_text("That is not the passcode.")
    for key in PASSCODE:
        totem.keyboard.press(key)
    totem.keyboard.press("Enter")
    totem.wait_for_url(f"{kiosk_server.url}/")
    assert (
        totem.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0
    )


def test_a_reload_without_a_server_waits_for_it(totem: Page, own_server: Server) -> None:
    open_kiosk(totem, own_server)
    expect(totem.locator("body")).to_have_class(re.compile(r"\bkept\b"))
    own_server.kill()
    totem.reload()
    expect(totem.locator("#hint")).to_have_text("One moment please. We are reconnecting.")
    expect(totem.locator("#questions li")).to_have_count(3)
    own_server.start()
    expect_ready(totem)
    totem.locator("#questions button").first.click()
    expect(totem.locator("#status")).to_have_text("Speaking")


def test_a_page_whose_script_did_not_come_loads_itself_anew(
    totem: Page, kiosk_server: Server
) -> None:
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if failed:
            route.continue_()
            return
        failed.append(route.request.url)
        route.abort()

    totem.clock.install()
    totem.route("**/static/kiosk/main.js", fail_once)
    totem.goto(f"{kiosk_server.url}/?kiosk")
    totem.clock.fast_forward(16_000)
    expect_ready(totem)
    assert failed


def test_the_camera_sees_who_comes(
    playwright: Playwright, kiosk_server: Server, tmp_path: Path
) -> None:
    film = tmp_path / "hall.y4m"
    write_hall(film)
    flags = (
        SOUND_FLAG,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    with chromium(playwright, flags) as browser:
        page = browser.new_context(locale="en-US", permissions=["camera"]).new_page()
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        open_kiosk(page, kiosk_server, "&camera")
        expect(page.locator("body")).to_have_class(re.compile(r"\baway\b"))
        expect(page.locator("#caption")).to_have_text(GREETING)
        assert set(sent) == {"GET"}, "a picture left the browser"


def write_hall(path: Path) -> None:
    """An empty hall for 20 seconds, then somebody in it for as long, at 5 pictures a second."""
    width, height = 160, 120
    empty = np.tile(np.linspace(60, 120, width, dtype=np.uint8), (height, 1))
    occupied = empty.copy()
    occupied[30:, 50:110] += 90
    colours = np.full(width * height // 2, 128, np.uint8).tobytes()
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F5:1 Ip A1:1 C420jpeg\n".encode())
        for picture in [empty] * 100 + [occupied] * 100:
            file.write(b"FRAME\n" + picture.tobytes() + colours)
