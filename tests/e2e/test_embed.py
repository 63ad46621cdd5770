"""`<ditto-avatar>` on a page of another origin: a real server, a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocket, expect

from ditto_avatar.server.keys import new_key
from tests.e2e.conftest import Server
from tests.fakes.site import Site, serving_site

pytestmark = pytest.mark.e2e

KEY, ENTRY = new_key("shop")
PHONE = {"width": 360, "height": 740}
NOTED = """() => {
  window.noted = [];
  for (const element of document.querySelectorAll("ditto-avatar")) {
    for (const type of ["ready", "speaking", "caption", "interrupted", "ended", "error"]) {
      const note = ({ detail }) => noted.push({ id: element.id, type, ...detail });
      element.addEventListener(type, note);
    }
  }
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving_site() as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("embed"),
        DITTO_API_KEYS=ENTRY.entry,
        DITTO_ALLOWED_ORIGINS=site.origin,
    )
    server.start()
    yield server
    server.stop()


def join_token(server: Server, site: Site, **wanted: Any) -> str:
    answer = httpx.post(
        f"{server.url}/api/tokens",
        json={"origins": [site.origin], **wanted},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    token: str = answer.raise_for_status().json()["join"]
    return token


def element(server: Server, token: str = "", **attributes: str) -> str:
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<ditto-avatar server="{server.url}" token="{token}"{given}></ditto-avatar>'


def open_with(page: Page, server: Server, site: Site, body: str, lang: str = "en") -> None:
    page.goto(site.put(body, lang=lang))
    page.evaluate(NOTED)
    page.add_script_tag(url=f"{server.url}/embed.js", type="module")


def told(page: Page, type_: str, **fields: Any) -> dict[str, Any]:
    """The first event of that type (and fields), once it has come."""
    wanted = {"type": type_, **fields}
    found = """(wanted) => noted.find((event) =>
      Object.keys(wanted).every((key) => event[key] === wanted[key]))"""
    event: dict[str, Any] = page.wait_for_function(found, arg=wanted).json_value()
    return event


def paint(avatar: Locator) -> None:
    """Wait until the face is seen."""
    avatar.evaluate(
        """(element) => new Promise((resolve) => {
          const look = () => [...element.shadowRoot.querySelectorAll("video")]
            .some((video) => video.getVideoPlaybackQuality().totalVideoFrames > 0)
              ? resolve() : requestAnimationFrame(look);
          look();
        })"""
    )


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
    expect(page.locator("#right .log")).to_be_empty()
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
    page.evaluate("window.gone = guide; gone.remove()")
    page.wait_for_function(
        "[...gone.shadowRoot.querySelectorAll('video')].every((video) =>"
        " video.paused && !video.hasAttribute('src'))"
    )
    assert len(sockets) == 1
    if not sockets[0].is_closed():
        sockets[0].wait_for_event("close")


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
