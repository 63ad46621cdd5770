"""The page in a real Chromium against `PageServer`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.deadlines import TEST_DEADLINE_MS
from tests.fakes.browsers import browser, playwright
from tests.fakes.page_server import PageServer

__all__ = ["browser", "playwright"]


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
