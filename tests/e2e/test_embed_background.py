"""The element before a background of the page's choice: a real server, a real browser."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server
from tests.e2e.shop import element, join_token, open_with, server, site, told
from tests.fakes.site import Site

__all__ = ["server", "site"]
pytestmark = pytest.mark.e2e

PAGE_COLOUR, GREEN = (200, 30, 90), (0, 177, 64)
DRAWN = """() => {
  const canvas = guide.shadowRoot.querySelector("canvas");
  return canvas.width > 300 && getComputedStyle(canvas).display !== "none";
}"""


def look(page: Page) -> Any:
    """The stage of the element as it is on the screen, (h, w, 3) RGB."""
    png = page.locator("#guide .stage").screenshot()
    picture = cv2.imdecode(np.frombuffer(io.BytesIO(png).read(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture


def is_like(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= 8)


def open_guide(page: Page, server: Server, site: Site, background: str) -> None:
    tag = element(server, join_token(server, site), id="guide", background=background)
    open_with(page, server, site, tag)
    page.evaluate(f"document.body.style.background = 'rgb{PAGE_COLOUR}'")
    told(page, "ready")


def expect_seen(page: Page, behind: tuple[int, int, int]) -> None:
    """The presenter is there, and behind it the colour."""
    page.wait_for_function(DRAWN)
    picture = look(page)
    height, width = picture.shape[:2]
    face = picture[height // 3 : height // 2, width // 3 : 2 * width // 3]
    # Below the label and above the shoulders, on both sides.
    for corner in (picture[height // 4, 8], picture[height // 4, width - 8]):
        assert is_like(corner, behind), corner
    assert not is_like(face.mean(axis=(0, 1)), behind)
    assert face.std() > 10


def test_a_transparent_presenter_stands_before_the_page(
    page: Page, server: Server, site: Site
) -> None:
    open_guide(page, server, site, "transparent")
    expect_seen(page, PAGE_COLOUR)
    page.evaluate("guide.say('Now you can see what is behind me while I am talking to you.')")
    told(page, "speaking")
    expect_seen(page, PAGE_COLOUR)
    told(page, "ended")
    expect_seen(page, PAGE_COLOUR)


def test_the_background_can_be_changed_and_taken_back(
    page: Page, server: Server, site: Site
) -> None:
    open_guide(page, server, site, "green")
    expect_seen(page, GREEN)
    page.evaluate("guide.setAttribute('background', 'rgb(10, 20, 120)')")
    expect_seen(page, (10, 20, 120))
    assert page.evaluate("noted.filter(({ type }) => type === 'ready').length") == 1
    token = join_token(server, site)
    # At once: a token opens one session, and another background needs a new one.
    page.evaluate(
        """(token) => {
          guide.setAttribute("token", token);
          guide.setAttribute("background", "avatar");
        }""",
        token,
    )
    expect(page.locator("#guide .stage.cutout")).to_have_count(0)
