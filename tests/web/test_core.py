"""The core's own tests, written in JavaScript, each run in Chromium as a test of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.fakes.page_server import PageServer

pytestmark = pytest.mark.e2e

FOLDER = Path(__file__).parent
TESTS = [
    (file.name, name)
    for file in sorted(FOLDER.glob("*.test.js"))
    for name in re.findall(r'^test\("(.+?)", ', file.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def blank_page(browser: Browser) -> Iterator[Page]:
    with PageServer().running() as server:
        page = browser.new_page()
        page.goto(f"{server.url}/static/favicon.svg")
        yield page
        page.close()


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_core(blank_page: Page, file: str, name: str) -> None:
    blank_page.evaluate(
        "async ([file, name]) => (await import(`/tests/${file}`)).suite.run(name)", [file, name]
    )


def test_every_written_test_is_run(blank_page: Page) -> None:
    written = sum(file.read_text().count("\ntest(") for file in FOLDER.glob("*.test.js"))
    assert written == len(TESTS) > 40
