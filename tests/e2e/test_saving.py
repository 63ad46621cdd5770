"""A person saves a conversation from the page: a real server, a real browser."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Server
from tests.web.screen import ask, expect_phase, open_page

pytestmark = pytest.mark.e2e

PHONE = {"width": 320, "height": 640}


def test_a_conversation_is_saved_as_a_film_and_as_clips(
    server: Server, page: Page, tmp_path: Path
) -> None:
    open_page(page, server.url)
    expect(page.locator("#saving-open")).to_be_hidden()
    ask(page, "Hello")
    page.locator("#saving-open").click()
    expect(page.locator("#saving .about").first).to_contain_text("This conversation is recorded")
    wanted = {"film": {"film.mp4", "film.vtt", "film.srt"}, "clips": {"conversation.json"}}
    for kind, names in wanted.items():
        with page.expect_download() as saved:
            page.locator(f"#saving [data-as={kind}]").click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        with zipfile.ZipFile(path) as archive:
            assert names <= set(archive.namelist())
        expect(page.locator("#saving-status")).to_have_text("The file is being saved.")


def test_a_failure_is_told_and_can_be_tried_again(server: Server, page: Page) -> None:
    open_page(page, server.url)
    ask(page, "Hello")
    page.locator("#saving-open").click()
    page.route("**/export?as=film", lambda route: route.fulfill(status=503))
    page.locator("#saving [data-as=film]").click()
    expect(page.locator("#saving-status")).to_contain_text("could not be made")
    expect(page.locator("#saving [data-as=film]")).to_be_enabled()


def test_the_button_has_its_place_on_a_small_phone_in_korean(
    server: Server, browser: Browser
) -> None:
    context: BrowserContext = browser.new_context(viewport=PHONE, locale="ko-KR")  # type: ignore[arg-type]
    page = context.new_page()
    open_page(page, server.url)
    ask(page, "안녕하세요")
    button = page.get_by_role("button", name="대화 저장하기")
    expect(button).to_be_visible()
    expect_phase(page, "speaking")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = button.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    button.click()
    expect(page.locator("#saving")).to_contain_text("자막 있는 영상")
    context.close()
