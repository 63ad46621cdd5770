"""What a person notices of a server that is for invited people, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fakes.page_server import PageServer
from tests.web.screen import ask, expect_phase

pytestmark = pytest.mark.e2e

NEEDED = {
    "en-US": ("This presenter talks by invitation.", "open the link that you were sent"),
    "ko-KR": ("초대받은 분만 대화할 수 있어요.", "초대 링크를 열어"),
}
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
ON_ITS_SIDE = {"width": 844, "height": 390}


@pytest.fixture
def server(server: PageServer) -> PageServer:
    server.invitations = ["one"]
    return server


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP, ON_ITS_SIDE], ids=["phone", "desktop", "low"])
@pytest.mark.parametrize("locale", NEEDED)
def test_without_an_invitation_the_page_says_how_to_get_one(
    browser: Browser, server: PageServer, locale: str, viewport: dict[str, int]
) -> None:
    context = browser.new_context(locale=locale, viewport=viewport)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(server.url)
    title, text = NEEDED[locale]
    expect(page.locator("#welcome-title")).to_have_text(title)
    expect(page.locator("#welcome-text")).to_contain_text(text)
    expect(page.locator("#welcome-text")).to_be_in_viewport(ratio=1)
    expect(page.locator("#stage")).to_have_attribute("data-phase", "uninvited")
    expect(page.locator("#stage .stage .poster")).to_be_visible()
    for part in ("#composer", "#suggestions", "#notices .notice"):
        expect(page.locator(part).first).to_be_hidden()
    context.close()


def test_an_invitation_opens_a_session_and_leaves_the_address(
    page: Page, server: PageServer
) -> None:
    page.goto(f"{server.url}/?debug#join=one")
    expect_phase(page, "ready")
    assert server.wait_for("hello")["join"] == "one"
    assert page.url == f"{server.url}/?debug"
    ask(page, "Hello")
    expect(page.locator(".message.assistant .words")).to_contain_text("the first sentence")


def test_a_reloaded_page_goes_on_without_its_invitation(page: Page, server: PageServer) -> None:
    page.goto(f"{server.url}/#join=one")
    expect_phase(page, "ready")
    page.reload()
    expect_phase(page, "ready")
    assert len(server.sessions) == 1


def test_a_used_invitation_is_told(page: Page, server: PageServer) -> None:
    page.goto(f"{server.url}/#join=two")
    expect(page.locator("#welcome-text")).to_contain_text("has been used, or its time is over")
    expect(page.locator("#composer")).to_be_hidden()
    # Another link, opened in the same page, is taken.
    page.goto(f"{server.url}/#join=one")
    expect_phase(page, "ready")
    expect(page.locator("#composer")).to_be_visible()
    expect(page.locator("#welcome-title")).to_contain_text("Hello")


def test_a_used_invitation_leaves_the_conversation_that_there_is(
    page: Page, server: PageServer
) -> None:
    page.goto(f"{server.url}/#join=one")
    expect_phase(page, "ready")
    page.goto(f"{server.url}/#join=two")
    expect(page.locator("#notices .notice")).to_contain_text("This is the conversation you had")
    expect_phase(page, "ready")
    assert len(server.sessions) == 1
