"""How soon an answer begins and ends on demand, at the server and on the screen
(results/latency.json). Drawn sentences are not cached here: every answer is made anew."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, WebSocket

from bench import report
from bench.browser import browser_page
from bench.joins import at_the_joins
from bench.report import Scale, Target
from bench.serving import Serving, serving
from bench.yardstick import Repetitions, Yardstick

QUESTIONS = [
    "What is Ditto Avatar?",
    "How do I connect a language model?",
    "Do I need a graphics card?",
    "Which languages do you speak?",
    "Can I use my own face?",
    "무엇을 할 수 있어요?",
    "언어 모델은 어떻게 연결하나요?",
    "Is it free?",
]
LONG = "This is a long sentence that goes on and on, and it will be interrupted. " * 6
TURNS, SCREEN_TURNS, INTERRUPTIONS = 32, 16, 12
TARGETS = {
    "text_to_first_fragment_ms_p50": Target("<= 100", Scale.TIME),
    "text_to_first_fragment_ms_p95": Target("", Scale.TIME),
    "first_painted_frame_ms_p50": Target("<= 220", Scale.TIME),
    "first_painted_frame_ms_p95": Target("", Scale.TIME),
    "barge_in_server_ms": Target("<= 10", Scale.TIME),
    # As seen: the fade takes its time on any machine.
    "barge_in_screen_ms": Target("<= 150"),
    "join_difference_ratio": Target("<= 2"),
}
# Resolves with the ms from the click on the interrupt button until the idle loop hides all else.
INTERRUPT = """async () => {
  const videos = [...stage.shadowRoot.querySelectorAll("video")];
  const z = (video) => Number(video.style.zIndex || 0);
  const began = performance.now();
  document.getElementById("interrupt").click();
  for (;;) {
    const top = videos.reduce((a, b) => (z(b) > z(a) ? b : a));
    if (top.loop && top.getAnimations().length === 0) return performance.now() - began;
    await new Promise(requestAnimationFrame);
  }
}"""


@dataclass
class Measured:
    """ms of each repetition: of the answers, as measured and at yardstick 1, and of the
    interruptions."""

    answers: list[float]
    answers_at_one: list[float]
    interruptions: list[float]


async def at_the_server(yardstick: Yardstick) -> Measured:
    """Until the first fragment arrives, and until the interruption that follows is answered."""
    fragments: list[float] = []
    interruptions: list[float] = []
    async with serving(DITTO_CACHE_MB="0") as server, server.viewer() as viewer:
        repetitions = Repetitions(yardstick)
        for turn in range(TURNS + 2):
            question = QUESTIONS[turn % len(QUESTIONS)]
            asked = await viewer.send(type="user.text", text=question, idle_frame=turn)
            arrived, _ = await viewer.until("segment.data")
            fragments.append((arrived - asked) * 1000)
            sent = await viewer.send(type="interrupt")
            stopped, _ = await viewer.until("turn.interrupted")
            interruptions.append((stopped - sent) * 1000)
            repetitions.done()
    at_one = repetitions.at_yardstick_one(fragments)
    return Measured(fragments[2:], at_one[2:], interruptions)


def on_the_screen(server: Serving, yardstick: Yardstick) -> Measured:
    """From Enter to the first painted frame, and from a click to the idle loop, in Chromium."""
    painted: list[float] = []
    interruptions: list[float] = []
    with browser_page(server.url) as page:
        reports = _painted_reports(page)
        page.goto(server.url)
        page.wait_for_selector('#stage[data-phase="ready"]')
        repetitions = Repetitions(yardstick)
        for turn in range(SCREEN_TURNS + 2):
            box = page.locator("#text")
            box.fill(QUESTIONS[turn % len(QUESTIONS)])
            box.press("Enter")
            page.wait_for_selector('#stage[data-phase="speaking"]')
            page.evaluate(INTERRUPT)
            page.wait_for_selector('#stage[data-phase="ready"]')
            painted = [report["since_text_ms"] for report in reports]
            repetitions.done()
        for _ in range(INTERRUPTIONS):
            box.fill(LONG)
            box.press("Enter")
            page.wait_for_selector('#stage[data-phase="speaking"]')
            page.wait_for_function(
                "() => [...stage.shadowRoot.querySelectorAll('video')]"
                ".some((v) => !v.loop && v.currentTime > 0.5)"
            )
            interruptions.append(page.evaluate(INTERRUPT))
            page.wait_for_selector('#stage[data-phase="ready"]')
    at_one = repetitions.at_yardstick_one(painted)
    return Measured(painted[2:], at_one[2:], interruptions)


def _painted_reports(page: Page) -> list[dict[str, Any]]:
    """Filled with what the page tells the server about first painted frames."""
    reports: list[dict[str, Any]] = []

    def sent(payload: str | bytes) -> None:
        if isinstance(payload, str):
            message = json.loads(payload)
            if message["type"] == "playback" and "since_text_ms" in message:
                reports.append(message)

    def opened(socket: WebSocket) -> None:
        socket.on("framesent", sent)

    page.on("websocket", opened)
    return reports


async def measure(yardstick: Yardstick) -> tuple[dict[str, Any], dict[str, float]]:
    """All figures; and those of the answers at yardstick 1."""
    fragments = await at_the_server(yardstick)
    async with serving(DITTO_CACHE_MB="0") as server:
        screen = await asyncio.to_thread(on_the_screen, server, yardstick)
        joins = await asyncio.to_thread(at_the_joins, server)
    figures = {
        **percentiles(fragments.answers, screen.answers),
        "barge_in_server_ms": round(max(fragments.interruptions), 1),
        "barge_in_screen_ms": round(max(screen.interruptions), 1),
        **joins,
        "turns": len(fragments.answers),
        "turns_on_screen": len(screen.answers),
        "interruptions": INTERRUPTIONS,
    }
    return figures, percentiles(fragments.answers_at_one, screen.answers_at_one)


def percentiles(fragments: list[float], painted: list[float]) -> dict[str, float]:
    """The medians and the slow ends of both."""
    return {
        "text_to_first_fragment_ms_p50": round(report.p50(fragments), 1),
        "text_to_first_fragment_ms_p95": round(report.percentile(fragments, 95), 1),
        "first_painted_frame_ms_p50": round(report.p50(painted), 1),
        "first_painted_frame_ms_p95": round(report.percentile(painted, 95), 1),
    }


def main() -> None:
    """Measure and write results/latency.json."""
    with Yardstick() as yardstick:
        figures, at_one = asyncio.run(measure(yardstick))
    report.write("latency", figures, TARGETS, yardstick, at_one)


if __name__ == "__main__":
    main()
