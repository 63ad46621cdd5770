"""`<ditto-avatar>` on a page of another origin: a real server, a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from tests.e2e.conftest import Server
from tests.e2e.shop import element, join_token, open_with, paint, server, site, told
from tests.fakes.site import Site, serving_site

__all__ = ["server", "site"]
pytestmark = pytest.mark.e2e

PHONE = {"width": 360, "height": 740}
EVERY_ELEMENT_IS_STILL = """[...document.querySelectorAll("ditto-avatar"), ...(window.gone ?? [])]
  .filter((element) => !element.isConnected)
  .flatMap((element) => [...element.shadowRoot.querySelectorAll("video")])
  .every((video) => video.paused && !video.hasAttribute("src"))"""


def test_two_elements_on_a_foreign_page_talk_each_for_itself(
    page: Page, server: Server, site: Site
) -> None:
    left = element(server, join_token(server, site), id="left")
    right = element(server, join_token(server, site), id="right", language="ko", avatar="sofia")
    open_with(page, server, site, left + right)
    told(page, "ready", id="left")
    told(page, "ready", id="right")
    field = page.locator("#left").get_by_role("textbox", name="Your question")
    field.focus()
    page.keyboard.type("What is Ditto Avatar?")
    page.keyboard.press("Enter")
    spoken = told(page, "speaking", id="left")
    expect(page.locator("#left [part=caption]")).to_have_text(spoken["text"])
    paint(page.locator("#left"))
    paint(page.locator("#right"))
    expect(page.locator("#left").get_by_role("log")).to_contain_text("What is Ditto Avatar?")
    expect(page.locator("#right ol")).to_be_empty()
    expect(page.locator("#left").get_by_text("AI-generated", exact=True)).to_be_visible()
    expect(page.locator("#right").get_by_text("AI 생성", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    told(page, "interrupted", id="left")
    assert page.evaluate("noted.filter(({ id, type }) => id === 'right' && type !== 'ready')") == []


def test_methods_say_and_change_presenter_and_language(
    page: Page, server: Server, site: Site
) -> None:
    open_with(page, server, site, element(server, join_token(server, site), id="guide"))
    told(page, "ready")
    page.evaluate("guide.say('Welcome to the shop.')")
    assert told(page, "speaking")["text"] == "Welcome to the shop."
    told(page, "ended")
    page.evaluate("guide.setLanguage('ko')")
    expect(page.locator("#guide").get_by_role("button", name="보내기")).to_be_visible()
    page.evaluate("guide.setAvatar('sofia')")
    sofia = f"{server.url}/avatars/sofia/poster.webp"
    expect(page.locator("#guide .stage .poster")).to_have_attribute("src", sofia)


def test_an_element_that_is_removed_in_mid_sentence_leaves_nothing_running(
    page: Page, server: Server, site: Site
) -> None:
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    open_with(page, server, site, element(server, join_token(server, site), id="guide"))
    told(page, "ready")
    page.evaluate("guide.ask('What is Ditto Avatar?')")
    told(page, "speaking")
    page.evaluate("window.gone = [guide]; guide.remove()")
    page.wait_for_function(EVERY_ELEMENT_IS_STILL)
    assert len(sockets) == 1
    expect_closed(sockets)


def expect_closed(sockets: list[WebSocket]) -> None:
    for socket in sockets:
        if not socket.is_closed():
            socket.wait_for_event("close")


def test_ten_elements_on_one_page_have_ten_conversations_and_leave_none_behind(
    page: Page, server: Server, site: Site
) -> None:
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    token = join_token(server, site, uses=10)
    ten = "".join(element(server, token, id=f"guide{n}", display="face") for n in range(10))
    open_with(page, server, site, ten)
    page.wait_for_function("noted.filter(({ type }) => type === 'ready').length === 10")
    assert page.evaluate("new Set(noted.map(({ session }) => session)).size") == 10
    page.evaluate("guide0.say('One of ten.'); guide9.say('Another one.')")
    told(page, "speaking", id="guide0", text="One of ten.")
    told(page, "speaking", id="guide9", text="Another one.")
    page.evaluate(
        "window.gone = [...document.querySelectorAll('ditto-avatar')];"
        "for (const element of gone) element.remove()"
    )
    page.wait_for_function(EVERY_ELEMENT_IS_STILL)
    assert len(sockets) == 10
    expect_closed(sockets)


def test_an_element_that_is_moved_goes_on(page: Page, server: Server, site: Site) -> None:
    body = element(server, join_token(server, site), id="guide") + '<div id="aside"></div>'
    open_with(page, server, site, body)
    session = told(page, "ready")["session"]
    page.evaluate("document.querySelector('#aside').append(guide)")
    page.evaluate("guide.say('Still here.')")
    told(page, "speaking", text="Still here.")
    assert page.evaluate("noted.filter(({ type }) => type === 'ready').length") == 1
    assert session


def test_a_page_that_is_not_allowed_gets_no_element(page: Page, server: Server) -> None:
    with serving_site() as stranger:
        page.goto(stranger.put(element(server)))
        with pytest.raises(Exception, match="Failed to load"):
            page.add_script_tag(url=f"{server.url}/embed.js", type="module")
        asked = f"fetch('{server.url}/api/avatars').then(() => 'read', () => 'kept')"
        assert page.evaluate(asked) == "kept"


def test_a_token_of_another_page_is_refused(page: Page, server: Server, site: Site) -> None:
    token = join_token(server, site, origins=["https://elsewhere.example"])
    open_with(page, server, site, element(server, token))
    told(page, "error", code="join_refused")
    expect(page.locator("ditto-avatar [part=status]")).to_have_text("By invitation")


def test_a_session_that_runs_out_is_told_and_a_new_token_opens_another(
    page: Page, server: Server, site: Site
) -> None:
    token = join_token(server, site, session_s=1)
    open_with(page, server, site, element(server, token, id="guide"))
    first = told(page, "ready")["session"]
    told(page, "error", code="join_needed")
    page.evaluate("(token) => guide.setAttribute('token', token)", join_token(server, site))
    page.wait_for_function("noted.filter(({ type }) => type === 'ready').length === 2")
    assert page.evaluate("noted.findLast(({ type }) => type === 'ready').session") != first


def test_a_floating_element_fits_a_phone_and_opens_by_keyboard(
    browser: Browser, server: Server, site: Site
) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    page = context.new_page()
    floating = element(
        server, join_token(server, site), id="guide", display="floating", start="click"
    )
    open_with(page, server, site, floating)
    toggle = page.get_by_role("button", name="Open the conversation")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    toggle.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("noted.length") == 0
    page.get_by_role("button", name="Start the conversation").tap()
    told(page, "ready")
    expect(page.get_by_role("textbox", name="Your question")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Open the conversation")).to_be_focused()
    context.close()
