"""A visitor's own face as they make it: a real server, a real browser."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from tests.deadlines import TEST_DEADLINE_MS
from tests.e2e.conftest import Server
from tests.web.screen import open_page

pytestmark = pytest.mark.e2e
# Making a face takes some ten seconds on an idle core.
MAKING_MS = 4 * TEST_DEADLINE_MS


def choose(page: Page, picture: Path) -> None:
    page.locator("#presenter-button").click()
    page.locator("#my-face-open").click()
    page.locator("#my-face-file").set_input_files(picture)


def test_a_photo_becomes_the_presenter_and_goes_again(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    photo = tmp_path / "me.png"
    frame = load_avatar(BUNDLED / "sofia").idle_frames[0]
    cv2.imwrite(str(photo), cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420))
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="ko-KR")
    page = context.new_page()
    open_page(page, server.url)
    choose(page, photo)
    expect(page.locator("#my-face-hints .good")).to_have_text("좋아요, 이대로 쓸 수 있어요.")
    page.locator("input[value=self]").check()
    page.locator("#my-face-person").fill("김하나")
    page.locator("#my-face-form input[type=checkbox]").check()
    page.locator("#my-face-form button").click()
    expect(page.locator("#my-face-bar")).to_be_visible(timeout=MAKING_MS)
    expect(page.locator("#presenter-name")).to_have_text("김하나")
    page.locator("#my-face-keep").click()
    page.reload()
    expect(page.locator("#presenter-name")).to_have_text("김하나")
    page.locator("#presenter-button").click()
    page.locator("#my-face-remove").click()
    expect(page.locator("#presenter-name")).not_to_have_text("김하나")
    expect(page.locator("#my-face-remove")).to_be_hidden()
    context.close()


def test_a_picture_without_a_face_is_told_what_helps(
    server: Server, page: Page, tmp_path: Path
) -> None:
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((300, 300, 3), 90, np.uint8))
    open_page(page, server.url)
    choose(page, grey)
    expect(page.locator("#my-face-hints .blocks")).to_contain_text("No face was found")
