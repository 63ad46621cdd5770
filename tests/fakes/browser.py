"""A system Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SOUND_FLAG = "--autoplay-policy=no-user-gesture-required"
BLOCKED_SOUND_FLAG = "--autoplay-policy=document-user-activation-required"


@contextlib.contextmanager
def chromium(playwright: Playwright, flags: Sequence[str] = (SOUND_FLAG,)) -> Iterator[Browser]:
    """A running browser; the test is skipped, with the reason, on a machine without Chromium."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
    try:
        yield browser
    finally:
        browser.close()
