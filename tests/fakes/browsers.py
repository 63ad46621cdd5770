"""The browser that the tests of a folder share; import the fixtures into its conftest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.deadlines import TEST_DEADLINE_MS
from tests.fakes.browser import chromium


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
