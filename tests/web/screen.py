"""What a test sees of the page: its states, and the samples that `sampler.js` took."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.deadlines import TEST_DEADLINE_MS
from tests.fakes.page_server import IDLE_FRAMES

FEWEST_SAMPLES = 20
SAMPLER = Path(__file__).parent / "sampler.js"


def open_page(page: Page, url: str) -> None:
    """Open the page with the sampler in it and wait until it is ready and alive."""
    page.add_init_script(path=SAMPLER)
    page.goto(url)
    expect_phase(page, "ready")
    wait_until(page, "stage.shadowRoot.querySelector('video[src]')?.currentTime > 0.1")


def wait_until(page: Page, condition: str) -> None:
    """Wait until the JavaScript expression `condition` holds, looked at for every frame of the
    screen. Playwright's own `wait_for_function` evaluates a string, which the page's content
    security policy forbids."""
    page.evaluate(
        f"""() => new Promise((resolve, reject) => {{
          const end = performance.now() + {TEST_DEADLINE_MS};
          const check = () => {{
            if ({condition}) resolve();
            else if (performance.now() > end) reject(new Error("waited in vain"));
            else requestAnimationFrame(check);
          }};
          check();
        }})"""
    )


def expect_phase(page: Page, phase: str) -> None:
    expect(page.locator("#stage")).to_have_attribute("data-phase", phase, timeout=TEST_DEADLINE_MS)


def ask(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.keyboard.press("Enter")


def watch(page: Page, hears: bool = False) -> None:
    page.evaluate("(hears) => sampler.start({ hears })", hears)
    wait_until(page, "sampler.samples.length > 0")


def watched(page: Page) -> list[dict[str, Any]]:
    """The samples since `watch`."""
    wait_until(page, f"sampler.samples.length > {FEWEST_SAMPLES}")
    samples: list[dict[str, Any]] = page.evaluate("sampler.stop()")
    return samples


def assert_never_blank(samples: Sequence[dict[str, Any]]) -> None:
    blank = [round(sample["t"]) for sample in samples if sample["blank"]]
    assert not blank, f"nothing was seen at {blank} ms"


def steps(samples: Sequence[dict[str, Any]]) -> list[int]:
    """Frames from each sample to the next on the shorter way round the idle loop."""
    poses = [sample["pose"] for sample in samples]
    half = IDLE_FRAMES // 2
    return [(b - a + half) % IDLE_FRAMES - half for a, b in itertools.pairwise(poses)]
