"""What WebRTC brings to the screen, in Chromium: the half of `bench.rtc` that a person sees."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Any

from playwright.sync_api import Browser

from bench import report, rtc_network
from bench.browser import chromium
from bench.latency import INTERRUPT
from bench.report import Scale, Target
from bench.rtc_pages import LONG, Screen, open_screen
from bench.serving import Serving, serving
from bench.yardstick import Yardstick
from tests.fakes.udp_relay import UdpRelay, free_port

ANSWERS, INTERRUPTIONS = 7, 6
QUESTIONS = ("Hello", "Is it free?")
FRAME_TICKS, TIMESTAMPS = 3_600, 2**32
TARGETS = {
    "drawn_to_painted_ms_p50": Target("<= 120", Scale.TIME),
    "drawn_to_painted_ms_p95": Target("<= 200", Scale.TIME),
    "text_to_painted_ratio_to_mse": Target("<= 0.8"),
    "av_offset_ms": Target("within 45"),
    "joins_on_frame_zero_share": Target(">= 0.95"),
    "interrupt_on_screen_ms": Target("<= 150"),
    **rtc_network.TARGETS,
}


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


async def figures(yardstick: Yardstick) -> dict[str, Any]:
    """All figures on the screen. Sentences are not cached: every answer is made anew."""
    plain = {"DITTO_CACHE_MB": "0", "DITTO_RTC_BIND": "127.0.0.1"}
    async with serving(**plain) as server:
        found = await asyncio.to_thread(directly, server, yardstick)
    port = free_port()
    relay = UdpRelay(port)
    try:
        async with serving(**plain, DITTO_RTC_PORTS=f"{port}-{port}") as server:
            found |= await asyncio.to_thread(
                rtc_network.through_a_relay, server, relay, port, yardstick
            )
    finally:
        relay.close()
    return found
