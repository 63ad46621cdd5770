"""WebRTC as a person has it: a real server, a real browser, a network that may go silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.deadlines import TEST_DEADLINE_S
from tests.e2e.conftest import Server
from tests.e2e.test_microphone import QUESTION, recording, recordings, said, speaking_into
from tests.e2e.wire import Wire, session_of
from tests.fakes.openai_server import Transcript, fake_openai_in_thread
from tests.fakes.udp_relay import UdpRelay, free_port
from tests.web.screen import (
    ask,
    assert_never_blank,
    expect_phase,
    open_page,
    wait_until,
    watch,
    watched,
)

pytestmark = pytest.mark.e2e

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

# A machine that is busy is heard and seen late by turns.
MOST_DRIFT_MS = 120
# Both are drawn before: whatever else the machine does, they lie ready. A sentence that is drawn
# more slowly than it is spoken would stall as fragments, and then wait for all of its clip.
TEXT = "Ask a short question and I will answer it in a sentence or two, as well as I can."
# One sentence, of a dozen seconds.
LONG = (
    "This is a long sentence without any place to breathe that goes on for so many words that a "
    "network has all the time in the world to fall silent somewhere in the middle of it"
)
LIVE = "[...stage.shadowRoot.querySelectorAll('video')].find((video) => video.srcObject)"
# Notes where the page is, and offers a way to it.
PEER = """
const Real = RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Real {
  constructor(...given) { super(...given); globalThis.peer = this; }
  setRemoteDescription(answer) {
    const { from, to } = globalThis.relay ?? {};
    if (from) answer.sdp = answer.sdp.replaceAll(` ${from} typ`, ` ${to} typ`);
    return super.setRemoteDescription(answer);
  }
};
globalThis.inbound = async (kind) =>
  [...(await globalThis.peer.getStats()).values()]
    .find((report) => report.type === "inbound-rtp" && report.kind === kind);
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[UdpRelay, int]]:
    port = free_port()
    relay = UdpRelay(port)
    yield relay, port
    relay.close()


@pytest.fixture(scope="module")
def rtc_server(
    tmp_path_factory: pytest.TempPathFactory, relay: tuple[UdpRelay, int]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("rtc")
    (folder / "phrases.txt").write_text(f"{TEXT}\n{LONG}\n")
    server = Server(
        folder,
        DITTO_RTC="auto",
        DITTO_RTC_BIND="127.0.0.1",
        DITTO_RTC_PORTS=f"{relay[1]}-{relay[1]}",
        DITTO_WARM_UP=str(folder / "phrases.txt"),
    )
    server.start()
    yield server
    server.stop()


def open_through(page: Page, server: Server, port: int, behind: int, path: str = "/") -> Wire:
    """Open a page whose WebRTC goes to `port` of a relay, and not to the one `behind` it."""
    wire = Wire(page)
    page.add_init_script(PEER)
    page.add_init_script(f"globalThis.relay = {{from: {behind}, to: {port}}};")
    open_page(page, f"{server.url}{path}")
    return wire


@pytest.fixture
def wire(page: Page, rtc_server: Server, relay: tuple[UdpRelay, int]) -> Iterator[Wire]:
    """A page that has opened, through the relay."""
    relay[0].silent, relay[0].loss = False, 0.0
    wire = open_through(page, rtc_server, relay[0].port, relay[1], "/?debug")
    yield wire
    # Its one port is free for the next.
    page.close()


def until(page: Page, found: Any) -> None:
    """Let the page go on until `found()` is true."""
    deadline = time.monotonic() + TEST_DEADLINE_S
    while time.monotonic() < deadline:
        if found():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen")


def say(page: Page, text: str = TEXT) -> None:
    ask(page, text)


def say_as_it_is(page: Page, server: Server, text: str) -> None:
    """Let a program make the presenter of this page say a text."""
    path, headers = session_of(page)
    answer = page.request.post(f"{server.url}{path}/say", headers=headers, data={"text": text})
    assert answer.status == 202


def stat(page: Page, kind: str, name: str) -> float:
    return float(page.evaluate(f"inbound('{kind}').then((report) => report?.{name} ?? 0)"))


def test_an_answer_comes_over_webrtc_and_the_next_one_too(page: Page, wire: Wire) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    watch(page)
    say(page, "Hello")
    expect_phase(page, "speaking")
    wait_until(page, f"!{LIVE}.muted && !{LIVE}.paused")
    expect(page.locator("#debug")).to_contain_text("webrtc")
    expect_phase(page, "ready")
    samples = watched(page)
    assert_never_blank(samples)
    segments = wire.of("segment.started")
    assert {m["transport"] for m in segments} == {"rtc"}
    assert wire.fragments == 0
    painted = wire.of("playback", state="painted")
    assert [m["segment"] for m in painted] == [m["segment"] for m in segments]
    ended = wire.of("playback", state="ended")
    assert [m["segment"] for m in ended] == [m["segment"] for m in segments]
    assert stat(page, "audio", "totalAudioEnergy") > 0.01
    assert stat(page, "video", "framesDecoded") > 50
    say(page, "Is it free?")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert wire.fragments == 0
    # As the browser reckons it; the first answer still learns the delays of the connection.
    until(page, lambda: wire.of("turn.timings"))
    (*_, last) = wire.of("playback", state="ended")
    assert abs(last["drift_ms"]) <= MOST_DRIFT_MS


def test_nothing_but_silence_is_sent_while_nobody_speaks(page: Page, wire: Wire) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    page.wait_for_timeout(2_500)
    before = stat(page, "video", "bytesReceived"), stat(page, "audio", "packetsReceived")
    page.wait_for_timeout(2_000)
    assert stat(page, "video", "bytesReceived") == before[0]
    assert stat(page, "audio", "packetsReceived") - before[1] > 60


def test_an_interruption_is_silent_at_once(page: Page, wire: Wire) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    say(page, "Do I need a GPU?")
    expect_phase(page, "speaking")
    page.keyboard.press("Escape")
    expect_phase(page, "ready")
    until(page, lambda: wire.of("turn.interrupted"))
    assert wire.of("playback", state="dropped")
    wait_until(page, f"{LIVE}.muted")


def test_a_path_that_goes_silent_is_left_in_mid_sentence_and_no_word_is_lost_or_said_twice(
    page: Page, wire: Wire, rtc_server: Server, relay: tuple[UdpRelay, int]
) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    say_as_it_is(page, rtc_server, LONG)
    until(page, lambda: wire.of("playback", state="playing"))
    relay[0].silent = True
    until(page, lambda: wire.of("rtc.state", state="down"))
    # The idle loop is seen for a moment in between.
    until(page, lambda: wire.of("playback", state="ended"))
    (segment,) = (m["segment"] for m in wire.of("segment.started"))
    reports = [m for m in wire.of("playback", segment=segment) if m["state"] != "playing"]
    assert [m["state"] for m in reports] == ["painted", "dropped", "painted", "ended"]
    _, broken, again, ended = (m["media_ms"] for m in reports)
    # A little of it is heard again rather than a part of a word lost.
    assert -300 <= again - broken <= 100
    (clip,) = wire.of("video_ready")
    assert ended == pytest.approx(clip["duration"] * 1_000, abs=100)
    assert wire.fragments > 0


def test_a_new_path_is_taken_and_every_word_is_heard(
    page: Page, wire: Wire, rtc_server: Server, relay: tuple[UdpRelay, int]
) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    say_as_it_is(page, rtc_server, LONG)
    until(page, lambda: wire.of("playback", state="playing"))
    relay[0].move()
    until(page, lambda: wire.of("playback", state="ended"))
    states = [m["state"] for m in wire.of("playback") if m["state"] != "playing"]
    # A browser that needs more than a second for its new path gets the rest as fragments.
    assert states in (["painted", "ended"], ["painted", "dropped", "painted", "ended"])
    page.evaluate("dispatchEvent(new Event('online'))")
    until(page, lambda: wire.of("rtc.state")[-1]["state"] == "up")
    say(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert wire.of("segment.started")[-1]["transport"] == "rtc"


def test_an_answer_does_not_wait_for_udp_that_is_blocked(
    page: Page, rtc_server: Server, relay: tuple[UdpRelay, int]
) -> None:
    relay[0].silent = True
    wire = open_through(page, rtc_server, relay[0].port, relay[1])
    say(page, "Hello")
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert {m["transport"] for m in wire.of("segment.started")} == {"stream"}
    assert not wire.of("rtc.state")
    page.close()


def test_lost_packets_are_repaired(page: Page, wire: Wire, relay: tuple[UdpRelay, int]) -> None:
    until(page, lambda: wire.of("rtc.state", state="up"))
    relay[0].loss = 0.05
    say(page)
    expect_phase(page, "speaking")
    expect_phase(page, "ready")
    assert not wire.of("rtc.state", state="down")
    assert stat(page, "video", "retransmittedPacketsReceived") > 0
    assert stat(page, "video", "framesDecoded") > 100


def test_a_microphone_is_heard_over_webrtc(playwright: Playwright, tmp_path: Path) -> None:
    sound = recording(tmp_path / "person.wav", 2.0, said(QUESTION), 20.0)
    with fake_openai_in_thread(Transcript(QUESTION)) as openai:
        server = Server(
            tmp_path,
            DITTO_RTC="auto",
            DITTO_RTC_BIND="127.0.0.1",
            DITTO_RTC_MICROPHONE="rtc",
            DITTO_OPENAI_SPEECH_URL=openai.base_url,
            OPENAI_API_KEY="sk-loopback",
        )
        server.start()
        with speaking_into(playwright, sound) as page:
            wire = Wire(page)
            open_page(page, server.url)
            until(page, lambda: wire.of("rtc.state", state="up"))
            page.locator("#hands-free").click()
            expect(page.locator(".message.user .words")).to_have_text(QUESTION)
        server.stop()
        (sent,) = recordings(openai)
    samples = np.frombuffer(sent[sent.index(b"data") + 8 :][:64_000], "<i2").astype(float)
    assert np.abs(samples).max() > 3_000, "the microphone's sound did not arrive"
    # A few may go over the WebSocket before the other way is open.
    assert wire.blocks < 15
