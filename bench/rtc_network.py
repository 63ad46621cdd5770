"""What WebRTC brings to the screen over a network that goes silent, lets nothing through, or loses
packets: the part of `bench.rtc` behind a relay in user space."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from playwright.sync_api import Browser

from bench.browser import chromium
from bench.report import Target
from bench.rtc_pages import LONG, open_screen
from bench.serving import Serving
from bench.yardstick import Yardstick
from tests.fakes.udp_relay import UdpRelay

FALLBACKS, FRESH_PAGES = 4, 5
LOSS = 0.05
LOSSY_SECONDS = 30
TARGETS = {
    "fallback_ms": Target("<= 1500"),
    "first_answer_delay_when_udp_is_blocked_ms": Target("<= 0"),
    "freezes_per_20_s": Target("<= 2"),
    "concealed_audio_percent": Target("<= 1.5"),
}


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
        before = after = screen.inbound()
        seconds = 0
        while seconds < LOSSY_SECONDS and not screen.of("sent", "rtc.state", state="down"):
            screen.page.wait_for_timeout(1_000)
            # A connection that was given up counts no more.
            after = screen.inbound() or after
            seconds += 1
        relay.loss = 0.0
        down = screen.of("sent", "rtc.state", state="down")

    def more(kind: str, name: str) -> float:
        # Chromium leaves out what has not happened yet.
        return float(after[kind].get(name, 0) - before[kind].get(name, 0))

    concealed = more("audio", "concealedSamples") / more("audio", "totalSamplesReceived")
    return {
        "freezes_per_20_s": round(more("video", "freezeCount") * 20 / seconds, 2),
        "concealed_audio_percent": round(100 * concealed, 2),
        "lossy_pictures_decoded_share": round(more("video", "framesDecoded") / (25 * seconds), 3),
        "lossy_packets_repaired": int(more("video", "retransmittedPacketsReceived")),
        "lossy_seconds": seconds,
        "lossy_went_down": len(down),
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
