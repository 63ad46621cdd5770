"""How smoothly one video follows another on the stage, picture by picture in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import report
from bench.browser import browser_page
from bench.serving import Serving
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.types import FRAME_RATE_HZ

TURNS = 8
AVATAR = "mina"
# A lid that moves makes a larger difference than anything else in the face, wherever it falls.
BLINK_CLOSURE = 0.05
# How far the hidden idle loop, which tells the pose, may be from the picture on top of it.
STEP_FRAMES = 3

_IDLE_ON_TOP = """() => {
  const videos = [...stage.shadowRoot.querySelectorAll("video")];
  const z = (video) => Number(video.style.zIndex || 0);
  const top = videos.reduce((a, b) => (z(b) > z(a) ? b : a));
  return top.loop && top.getAnimations().length === 0;
}"""


def at_the_joins(server: Serving) -> dict[str, float]:
    """The largest difference between two painted pictures where the stage changes from one video
    to another, and within the fades there, against the median difference while a sentence is
    spoken. Pictures of a blink are left out on both sides; `_with_blinks` counts them as well."""
    samples = _watch(server)
    still = [sample for sample in samples if not sample["blink"]]
    median = report.p50([s["difference"] for s in still if _inside(s)])

    def ratio(chosen: list[dict[str, Any]], statistic: Any = max) -> float:
        return round(float(statistic([s["difference"] for s in chosen])) / median, 2)

    joins = [s for s in still if s["join"]]
    return {
        "join_difference_ratio": ratio(joins),
        "join_difference_ratio_p50": ratio(joins, report.p50),
        "join_difference_ratio_with_blinks": ratio([s for s in samples if s["join"]]),
        "fade_difference_ratio": ratio([s for s in still if s["fading"]]),
        "inside_difference_ratio": ratio([s for s in still if _inside(s)]),
        "inside_difference_ratio_with_blinks": ratio([s for s in samples if _inside(s)]),
        "joins": len(joins),
    }


def _inside(sample: dict[str, Any]) -> bool:
    return not (sample["join"] or sample["fading"] or sample["idle"])


def _watch(server: Serving) -> list[dict[str, Any]]:
    """What ``joins.js`` notes in some turns, and whether the face was blinking."""
    blinking = _blinking()
    found: list[dict[str, Any]] = []
    with browser_page(server.url) as page:
        page.add_init_script(path=Path(__file__).parent / "joins.js")
        page.goto(server.url)
        page.wait_for_selector('#stage[data-phase="ready"]')
        for _ in range(TURNS):
            page.evaluate("joins.start()")
            box = page.locator("#text")
            box.fill("What is Ditto Avatar?")
            box.press("Enter")
            page.wait_for_selector('#stage[data-phase="speaking"]')
            page.wait_for_selector('#stage[data-phase="ready"]', timeout=60_000)
            page.wait_for_function(_IDLE_ON_TOP)
            found += page.evaluate("joins.stop()")
    for sample in found:
        pose = int(sample["idle_seconds"] * FRAME_RATE_HZ)
        sample["blink"] = bool(blinking[pose % len(blinking)])
    return found


def _blinking() -> npt.NDArray[np.bool_]:
    """Whether a picture near each idle frame shows a lid that moves (n,)."""
    closure = load_avatar(BUNDLED / AVATAR).arrays.eye_closure
    assert closure is not None
    eyes = closure.max(axis=1)
    moves = np.abs(eyes - np.roll(eyes, 1)) > BLINK_CLOSURE
    near = [np.roll(moves, by) for by in range(-STEP_FRAMES, STEP_FRAMES + 1)]
    blinking: npt.NDArray[np.bool_] = np.any(near, axis=0)
    return blinking
