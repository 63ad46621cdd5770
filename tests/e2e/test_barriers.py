"""axe-core looks for barriers on everything that people use: nothing serious may be found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server
from tests.e2e.shop import element, join_token, open_with, site, told
from tests.e2e.shop import server as shop_server
from tests.fakes.site import Site
from tests.web.screen import ask, expect_phase, open_page

__all__ = ["shop_server", "site"]
pytestmark = pytest.mark.e2e

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
WINDOWS = [({"width": 1280, "height": 800}, "light"), ({"width": 360, "height": 740}, "dark")]


def barriers(page: Page) -> list[dict[str, Any]]:
    """What is serious or critical on the page as it is now: the rule, and where it is broken."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target, failureSummary }) =>
            ({ target: target.flat().join(" "), failureSummary })) }))"""
    )
    return found


@pytest.fixture(params=WINDOWS, ids=["desktop", "phone"])
def open_window(browser: Browser, request: pytest.FixtureRequest) -> Any:
    size, scheme = request.param
    contexts = []

    def open_one(locale: str) -> Page:
        # The script is run by the test, not by the page, whose policy would forbid it.
        context = browser.new_context(
            viewport=size, color_scheme=scheme, locale=locale, bypass_csp=True
        )
        contexts.append(context)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_the_page_has_no_serious_barrier(
    open_window: Callable[[str], Page], server: Server, locale: str
) -> None:
    page = open_window(locale)
    open_page(page, server.url)
    expect_phase(page, "ready")
    assert barriers(page) == []
    ask(page, "What can you do?")
    expect_phase(page, "speaking")
    assert barriers(page) == []
    page.locator("#saving-open").click()
    assert barriers(page) == []


@pytest.mark.parametrize("display", ["chat", "floating"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_element_has_no_serious_barrier(
    open_window: Callable[[str], Page],
    shop_server: Server,
    site: Site,
    language: str,
    display: str,
) -> None:
    page = open_window("en-US")
    token = join_token(shop_server, site)
    tag = element(shop_server, token, id="guide", language=language, display=display)
    open_with(page, shop_server, site, tag)
    told(page, "ready")
    assert barriers(page) == []
    if display == "floating":
        page.evaluate("guide.shadowRoot.querySelector('.toggle').click()")
    page.evaluate("guide.ask('What can you do?')")
    told(page, "speaking")
    assert barriers(page) == []


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_the_kiosk_has_no_serious_barrier(
    open_window: Callable[[str], Page], server: Server, locale: str
) -> None:
    page = open_window(locale)
    page.goto(f"{server.url}/?kiosk")
    expect(page.locator("#questions li")).to_have_count(3)
    for pressed in ("1", "8", "9"):
        page.keyboard.press(pressed)
        assert barriers(page) == []
