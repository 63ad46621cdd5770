"""A page in Chromium whose WebRTC is watched, for `bench.rtc`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.web.screen import wait_until

LONG = "This is a long sentence that goes on and on, with a network that loses some of it. "
PAGE = Path(__file__).with_name("rtc_page.js")


class Screen:
    """A page of its own, and what it noted."""

    def __init__(self, browser: Browser, url: str, **way: Any) -> None:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
        self.page = context.new_page()
        self.url = url
        self.page.add_init_script(f"globalThis.way = {json.dumps(way)};")
        self.page.add_init_script(path=PAGE)
        self.page.goto(url)
        self.phase("ready")
        if way["webrtc"] and not way.get("blocked"):
            self.until('noted.sent.some((m) => m.type === "rtc.state")')

    def close(self) -> None:
        """Close the page, and all that it holds."""
        self.page.context.close()

    def until(self, condition: str) -> None:
        """Return once the JavaScript `condition` holds."""
        wait_until(self.page, condition)

    def phase(self, phase: str) -> None:
        """Return once the page is in this phase."""
        self.page.wait_for_selector(f'#stage[data-phase="{phase}"]', timeout=90_000)

    def ask(self, text: str) -> None:
        """Type a text and press Enter."""
        box = self.page.locator("#text")
        box.fill(text)
        box.press("Enter")

    def say(self, text: str) -> None:
        """Let a program make the presenter say a text."""
        session = json.loads(self.page.evaluate("sessionStorage.getItem('ditto-avatar.session')"))
        self.page.request.post(
            f"{self.url}/api/sessions/{session['session']}/say",
            headers={"Authorization": f"Bearer {session['token']}"},
            data={"text": text},
        )

    def noted(self, what: str) -> Any:
        """Return a list of ``rtc_page.js``."""
        return self.page.evaluate(f"noted.{what}")

    def of(self, what: str, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the messages of a type that were `sent` or `received`."""
        messages = self.noted(what)
        return [m for m in messages if m["type"] == kind and fields.items() <= m.items()]

    def inbound(self) -> dict[str, Any]:
        """Return what the browser counts of the sound and of the pictures that come in."""
        found: dict[str, Any] = self.page.evaluate("noted.inbound()")
        return found


@contextmanager
def open_screen(browser: Browser, url: str, **way: Any) -> Iterator[Screen]:
    """A page that is open and ready; with `webrtc`, that is up."""
    screen = Screen(browser, url, **way)
    try:
        yield screen
    finally:
        screen.close()
