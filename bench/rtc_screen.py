"""What WebRTC brings to the screen, in Chromium: the half of `bench.rtc` that a person sees."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser

from bench import report
from bench.browser import chromium
from bench.latency import INTERRUPT
from bench.report import Scale, Target
from bench.serving import Serving, serving
from bench.yardstick import Yardstick
from tests.fakes.udp_relay import UdpRelay, free_port
from tests.web.screen import wait_until

ANSWERS, INTERRUPTIONS, FALLBACKS, FRESH_PAGES = 7, 6, 4, 5
QUESTIONS = ("Hello", "Is it free?")
LONG = "This is a long sentence that goes on and on, with a network that loses some of it. "
LOSS = 0.05
LOSSY_SECONDS = 30
FRAME_TICKS, TIMESTAMPS = 3_600, 2**32
PAGE = Path(__file__).with_name("rtc_page.js")
TARGETS = {
    "drawn_to_painted_ms_p50": Target("<= 120", Scale.TIME),
    "drawn_to_painted_ms_p95": Target("<= 200", Scale.TIME),
    "text_to_painted_ratio_to_mse": Target("<= 0.8"),
    "av_offset_ms": Target("within 45"),
    "joins_on_frame_zero_share": Target(">= 0.95"),
    "interrupt_on_screen_ms": Target("<= 150"),
    "fallback_ms": Target("<= 1500"),
    "first_answer_delay_when_udp_is_blocked_ms": Target("<= 0"),
    "freezes_per_20_s": Target("<= 2"),
    "concealed_audio_percent": Target("<= 1.5"),
}


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


def answers(browser: Browser, server: Serving, *, webrtc: bool) -> dict[str, list[float]]:
    """Some answers on one page: ms from Enter until the first picture is painted, and over WebRTC
    from the drawing of that picture; how each sentence began, and how picture and sound went."""
    found: dict[str, list[float]] = {"painted": [], "drawn": [], "joined": [], "offsets": []}
    with open_screen(browser, server.url, webrtc=webrtc) as screen:
        for turn in range(ANSWERS + 1):
            screen.ask(QUESTIONS[turn % len(QUESTIONS)])
            screen.phase("speaking")
            if not webrtc:
                screen.page.evaluate(INTERRUPT)
            # The page is ready when all was heard; the server says so a little later.
            screen.phase("ready")
            over = "turn.timings" if webrtc else "turn.interrupted"
            screen.until(f'noted.received.filter((m) => m.type === "{over}").length > {turn}')
        painted = [
            m["since_text_ms"] for m in screen.of("sent", "playback") if "since_text_ms" in m
        ]
        timings = [m["timings"] for m in screen.of("received", "turn.timings")]
        found["painted"] = painted[1:]
        if webrtc:
            drawn = [t["first_frame"] for t in timings]
            found["drawn"] = [p - d for p, d in zip(painted, drawn, strict=True)][1:]
            found["joined"] = joins(screen)
            found["offsets"] = offsets(screen)[1:]
    return found


def joins(screen: Screen) -> list[float]:
    """For each sentence 1 when its first picture was painted, 0 when it began with a later one.

    A browser that is busy presents pictures without calling back; it counts them all the same.
    """
    placed = {m["segment"]: m for m in reversed(screen.of("received", "segment.placed"))}
    ends = {m["segment"]: m for m in screen.of("received", "segment.placed")}
    frames = screen.noted("frames")
    found = []
    before: int | None = None
    for segment, place in reversed(placed.items()):
        index = next(i for i, f in enumerate(frames) if behind(f["rtp"], place["rtp"]) >= 0)
        number = behind(frames[index]["rtp"], place["rtp"])
        uncalled = frames[index]["presented"] - frames[index - 1]["presented"] - 1 if index else 0
        missing = 0
        if before is not None and index:
            missing = max(0, behind(before, frames[index - 1]["rtp"]) - 1)
        found.append(float(number == 0 or uncalled >= missing + number))
        last = ends[segment]
        before = last["rtp"] + FRAME_TICKS * ((last["frames"] or 0) - last["frame"])
    return found


def behind(rtp: int, other: int) -> int:
    """How many pictures `rtp` is behind `other`, of two timestamps of 32 bits."""
    half = TIMESTAMPS // 2
    return ((rtp - other + half) % TIMESTAMPS - half) // FRAME_TICKS


def offsets(screen: Screen) -> list[float]:
    """For each sentence the median ms by which its picture is ahead of its sound."""
    reports = screen.of("sent", "playback")
    begun = {m["segment"]: m["wall_ms"] for m in reports if m["state"] == "painted"}
    ended = {m["segment"]: m["wall_ms"] for m in reports if m["state"] == "ended"}
    noted = screen.noted("offsets")
    found = []
    for segment, until in ended.items():
        inside = [o["ms"] for o in noted if begun[segment] + 200 < o["wall_ms"] < until]
        if inside:
            found.append(median(inside))
    return found


def interruptions(browser: Browser, server: Serving) -> list[float]:
    """ms from a click on the interrupt button until nothing but the idle loop is seen."""
    found = []
    with open_screen(browser, server.url, webrtc=True) as screen:
        for _ in range(INTERRUPTIONS):
            screen.say(LONG * 3)
            screen.phase("speaking")
            frames = len(screen.noted("frames"))
            screen.until(f"noted.frames.length > {frames + 12}")
            found.append(screen.page.evaluate(INTERRUPT))
            screen.phase("ready")
    return found


def fallbacks(
    browser: Browser, server: Serving, relay: UdpRelay, way: dict[str, Any]
) -> list[float]:
    """ms from the moment that no packet comes any more, in the middle of a sentence, until its
    fragments are painted."""
    found = []
    for _ in range(FALLBACKS):
        relay.silent = False
        with open_screen(browser, server.url, **way) as screen:
            screen.say(LONG * 4)
            screen.until('noted.sent.some((m) => m.state === "playing")')
            before = len(screen.of("sent", "playback", state="painted"))
            began = time.time() * 1_000
            relay.silent = True
            screen.until(f'noted.sent.filter((m) => m.state === "painted").length > {before}')
            again = screen.of("sent", "playback", state="painted")[before]
            found.append(again["wall_ms"] - began)
    relay.silent = False
    return found


def first_answers(
    browser: Browser, server: Serving, relay: UdpRelay, way: dict[str, Any]
) -> dict[str, list[float]]:
    """ms from Enter to the first picture on fresh pages, with UDP that is blocked and without
    WebRTC, by turns."""
    found: dict[str, list[float]] = {"blocked": [], "mse": []}
    relay.silent = True
    for _ in range(FRESH_PAGES):
        for kind, chosen in (("blocked", {**way, "blocked": True}), ("mse", {"webrtc": False})):
            with open_screen(browser, server.url, **chosen) as screen:
                screen.ask("Hello")
                screen.until("noted.sent.some((m) => m.since_text_ms !== undefined)")
                (first,) = (m for m in screen.of("sent", "playback") if "since_text_ms" in m)
                found[kind].append(first["since_text_ms"])
    relay.silent = False
    return found


def lossy(
    browser: Browser, server: Serving, relay: UdpRelay, way: dict[str, Any]
) -> dict[str, Any]:
    """What a browser counts while packets are lost both ways, in the middle of a long speech."""
    with open_screen(browser, server.url, **way) as screen:
        screen.say(LONG * 12)
        screen.until('noted.sent.some((m) => m.state === "playing")')
        relay.loss = LOSS
        before = screen.inbound()
        screen.page.wait_for_timeout(LOSSY_SECONDS * 1_000)
        after = screen.inbound()
        relay.loss = 0.0
        down = screen.of("sent", "rtc.state", state="down")

    def more(kind: str, name: str) -> float:
        return float(after[kind][name] - before[kind][name])

    concealed = more("audio", "concealedSamples") / more("audio", "totalSamplesReceived")
    return {
        "freezes_per_20_s": round(more("video", "freezeCount") * 20 / LOSSY_SECONDS, 2),
        "concealed_audio_percent": round(100 * concealed, 2),
        "lossy_pictures_decoded_share": round(
            more("video", "framesDecoded") / (25 * LOSSY_SECONDS), 3
        ),
        "lossy_packets_repaired": int(more("video", "retransmittedPacketsReceived")),
        "lossy_went_down": len(down),
    }


def directly(server: Serving, yardstick: Yardstick) -> dict[str, Any]:
    """The figures without anything between page and server."""
    live: dict[str, list[float]] = {"painted": [], "drawn": [], "joined": [], "offsets": []}
    mse: list[float] = []
    with chromium() as browser:
        for _ in range(2):
            for name, values in answers(browser, server, webrtc=True).items():
                live[name] += values
            yardstick.sample()
            mse += answers(browser, server, webrtc=False)["painted"]
            yardstick.sample()
        interrupted = interruptions(browser, server)
    ratio = median(live["painted"]) / median(mse)
    furthest: float = max(live["offsets"], key=abs)
    return {
        "drawn_to_painted_ms_p50": round(report.p50(live["drawn"]), 1),
        "drawn_to_painted_ms_p95": round(report.percentile(live["drawn"], 95), 1),
        "text_to_painted_ms_p50": round(median(live["painted"]), 1),
        "text_to_painted_by_mse_ms_p50": round(median(mse), 1),
        "text_to_painted_ratio_to_mse": round(ratio, 2),
        "av_offset_ms": round(furthest, 1),
        "av_offset_ms_p50": round(median(live["offsets"]), 1),
        "joins_on_frame_zero_share": round(sum(live["joined"]) / len(live["joined"]), 3),
        "interrupt_on_screen_ms": round(max(interrupted), 1),
        "answers": len(live["painted"]),
        "sentences": len(live["joined"]),
    }


def through_a_relay(
    server: Serving, relay: UdpRelay, port: int, yardstick: Yardstick
) -> dict[str, Any]:
    """The figures with a network that goes silent, lets nothing through, or loses packets."""
    way = {"webrtc": True, "from": port, "to": relay.port}
    with chromium() as browser:
        fell_back = fallbacks(browser, server, relay, way)
        yardstick.sample()
        first = first_answers(browser, server, relay, way)
        yardstick.sample()
        lost = lossy(browser, server, relay, way)
    return {
        "fallback_ms": round(max(fell_back)),
        "fallback_ms_p50": round(median(fell_back)),
        "first_answer_delay_when_udp_is_blocked_ms": round(
            median(first["blocked"]) - median(first["mse"])
        ),
        "first_answer_by_mse_ms_p50": round(median(first["mse"])),
        "first_answer_by_mse_ms_range": round(max(first["mse"]) - min(first["mse"])),
        **lost,
    }


async def figures(yardstick: Yardstick) -> dict[str, Any]:
    """All figures on the screen. Sentences are not cached: every answer is made anew."""
    plain = {"DITTO_CACHE_MB": "0", "DITTO_RTC_BIND": "127.0.0.1"}
    async with serving(**plain) as server:
        found = await asyncio.to_thread(directly, server, yardstick)
    port = free_port()
    relay = UdpRelay(port)
    try:
        async with serving(**plain, DITTO_RTC_PORTS=f"{port}-{port}") as server:
            found |= await asyncio.to_thread(through_a_relay, server, relay, port, yardstick)
    finally:
        relay.close()
    return found
