"""Tabs without storage, tabs that were duplicated, and a page below a path of a site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from tests.e2e.conftest import Server
from tests.web.screen import wait_until

pytestmark = pytest.mark.e2e

BLOCKED = """
for (const name of ["sessionStorage", "localStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("", "SecurityError"); } });
"""
SESSION = "JSON.parse(sessionStorage.getItem('ditto-avatar.session') ?? 'null')?.session"


def ask(page: Page, text: str) -> None:
    page.locator("textarea").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".message.user").last).to_contain_text(text)
    expect(page.locator(".message.assistant .words").last).not_to_be_empty()


def test_a_browser_that_blocks_storage_has_a_conversation(page: Page, server: Server) -> None:
    page.add_init_script(BLOCKED)
    page.goto(server.url)
    ask(page, "Hello!")


def test_a_duplicated_tab_has_a_conversation_of_its_own(
    page: Page, context: BrowserContext, server: Server
) -> None:
    page.goto(server.url)
    ask(page, "Hello!")
    mine = page.evaluate(SESSION)
    # A window that is opened by a page gets a copy of its storage, as a duplicated tab does.
    with context.expect_page() as opened:
        page.evaluate("open(location.href)")
    copy = opened.value
    wait_until(copy, f"({SESSION} ?? {mine!r}) !== {mine!r}")
    expect(copy.locator(".message")).to_have_count(0)
    page.reload()
    expect(page.locator(".message.user")).to_have_count(1)
    assert page.evaluate(SESSION) == mine


@pytest.fixture
def below_a_path(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, DITTO_ROOT_PATH="/avatar")
    server.start()
    yield server
    server.stop()


def test_the_page_works_below_a_path(page: Page, below_a_path: Server) -> None:
    missing: list[str] = []

    def note(answer: Response) -> None:
        if answer.status >= 400:
            missing.append(answer.url)

    page.on("response", note)
    page.goto(f"{below_a_path.url}/avatar")
    ask(page, "Hello!")
    expect(page.locator(".message.assistant .replay").last).to_be_enabled()
    assert page.url.endswith("/avatar/")
    assert missing == []
