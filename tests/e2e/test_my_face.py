"""A visitor's own face as they make it: a real server, a real browser."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, expect

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import ByteArray
from tests.deadlines import TEST_DEADLINE_MS
from tests.e2e.conftest import Server
from tests.e2e.test_barriers import barriers
from tests.fakes.browser import chromium
from tests.web.screen import open_page

pytestmark = pytest.mark.e2e
# Making a face takes some ten seconds on an idle core.
MAKING_MS = 4 * TEST_DEADLINE_MS


PHONE = ({"width": 390, "height": 844}, "ko-KR", "좋아요, 이대로 쓸 수 있어요.")
DESKTOP = ({"width": 1280, "height": 800}, "en-US", "This looks good.")


def face() -> ByteArray:
    """A picture of a face, BGR."""
    frame = load_avatar(BUNDLED / "sofia").idle_frames[0]
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420), np.uint8)


def camera_film(path: Path) -> Path:
    """What a camera sees: at first nobody, then a person in the middle of a wide picture."""
    empty = np.full((480, 640, 3), 96, np.uint8)
    person = empty.copy()
    person[:, 128:512] = cv2.resize(face(), (384, 480), interpolation=cv2.INTER_AREA)
    jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in (empty, person)]
    path.write_bytes(jpegs[0] * 45 + jpegs[1] * 900)
    return path


def choose(page: Page, picture: Path) -> None:
    page.locator("#presenter-button").click()
    page.locator("#my-face-open").click()
    page.locator("#my-face-file").set_input_files(picture)


def test_a_photo_becomes_the_presenter_is_shared_and_goes_again(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    photo = tmp_path / "me.png"
    cv2.imwrite(str(photo), face())
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, locale="ko-KR", bypass_csp=True
    )
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
    share = page.get_by_role("button", name="내 얼굴 공유")
    for shared in (True, False):
        with page.expect_response("**/shared") as answered:
            share.click()
        assert answered.value.status == 204
        assert answered.value.request.post_data_json == {"shared": shared}
        expect(share).to_have_attribute("aria-pressed", str(shared).lower())
        told = "다른 사람도 이 이름으로 쓸 수 있어요: face-" if shared else ""
        expect(page.locator("#my-face-shared")).to_contain_text(told)
        assert barriers(page) == []
    expect(page.locator("#my-face-shared")).to_be_empty()
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
    expect(page.locator("#my-face-form")).to_be_hidden()
    good = tmp_path / "me.png"
    cv2.imwrite(str(good), face())
    page.locator("#my-face-file").set_input_files(good)
    expect(page.locator("#my-face-hints .good")).to_be_visible()
    expect(page.locator("#my-face-form")).to_be_visible()


@pytest.mark.parametrize(("viewport", "locale", "good"), [PHONE, DESKTOP])
def test_the_camera_says_what_it_sees_and_takes_the_picture(
    playwright: Playwright,
    server: Server,
    tmp_path: Path,
    viewport: ViewportSize,
    locale: str,
    good: str,
) -> None:
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_film(tmp_path / 'camera.mjpeg')}",
    )
    with chromium(playwright, flags) as browser:
        context = browser.new_context(viewport=viewport, locale=locale, permissions=["camera"])
        page = context.new_page()
        open_page(page, server.url)
        page.locator("#presenter-button").click()
        page.locator("#my-face-open").click()
        page.locator("#my-face-camera").click()
        expect(page.locator("#my-face-hints .good")).to_have_text(good, timeout=TEST_DEADLINE_MS)
        expect(page.locator("#my-face-oval")).to_have_class("oval good")
        page.locator("#my-face-capture").click()
        expect(page.locator("#my-face-shown")).to_be_visible()
        expect(page.locator("#my-face-form")).to_be_visible()
        expect(page.locator("#my-face-hints .good")).to_have_text(good, timeout=TEST_DEADLINE_MS)
        # The camera is off again.
        assert page.evaluate("document.getElementById('my-face-video').srcObject.active") is False
        wide = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert wide, "the page is wider than the screen"


def test_a_photo_is_dropped_into_the_dialog(server: Server, page: Page) -> None:
    open_page(page, server.url)
    page.locator("#presenter-button").click()
    page.locator("#my-face-open").click()
    data = base64.b64encode(cv2.imencode(".jpg", face())[1].tobytes()).decode()
    dropped = page.evaluate_handle(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "me.jpg", { type: "image/jpeg" }));
          return transfer;
        }""",
        data,
    )
    page.locator("#my-face").dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.locator("#my-face-shown")).to_be_visible()
    expect(page.locator("#my-face-hints .good")).to_be_visible()
