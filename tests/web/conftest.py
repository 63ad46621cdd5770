"""The page in a real Chromium against `PageServer`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.deadlines import TEST_DEADLINE_MS
from tests.fakes.browser import chromium
from tests.fakes.page_server import PageServer


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """One for all browsers; it ends with this folder, because its event loop is in the way of
    asynchronous tests."""
    expect.set_options(timeout=TEST_DEADLINE_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[PageServer]:
    with PageServer().running() as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(TEST_DEADLINE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
