"""What WebRTC costs the server, and what it brings to the screen (results/rtc.json).

The server's half has 20 viewers on loopback, their receivers in a process of their own. Processor
time is counted there, so other work on the machine changes little. `bench.rtc_screen` is the other
half, which needs Chromium; `python -m bench.rtc server` leaves it out."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench import report, rtc_screen
from bench.report import Target
from bench.yardstick import Yardstick
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.rtc.aiortc_peer import AiortcPeer
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.service import RtcLink, RtcService
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME

VIEWERS = 20
SECONDS = 10
RECONNECTS = 80
TARGETS = {
    "cpu_percent_per_speaking_viewer": Target("<= 2"),
    "cpu_percent_per_idle_viewer": Target("<= 1.2"),
    "extra_encodes": Target("0"),
    "memory_mb_per_viewer": Target("<= 1"),
    "rss_growth_mb_after_80_connects": Target("<= 5"),
    "idle_kbit_s": Target("<= 40"),
    **rtc_screen.TARGETS,
}

Ask = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def receivers() -> AsyncIterator[Ask]:
    """Start the process of the receivers; give what asks it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.rtc_receivers",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def ask(do: str, **fields: Any) -> Any:
        stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        return json.loads(await stdout.readline())

    yield ask
    stdin.close()
    await process.wait()


async def connected(service: RtcService, ask: Ask, count: int) -> list[RtcLink]:
    """Open `count` viewers."""
    links = []
    for _ in range(count):
        offer = await ask("open")
        link, answer = await service.open(offer, placed=lambda place: None, ended=lambda: None)
        await ask("answer", sdp=answer)
        links.append(link)
    return links


def speech(seconds: int) -> SegmentPackets:
    """A segment as the live encoder makes it, of the idle loop's pictures and noise."""
    avatar = load_avatar(BUNDLED / "mina")
    encoder = FragmentEncoder(avatar.width, avatar.height)
    packets = SegmentPackets("speech")
    rng = np.random.default_rng(1)
    sounds = []
    for index in range(seconds * FRAME_RATE_HZ):
        sound = (rng.standard_normal(SAMPLES_PER_FRAME) / 20).astype(np.float32)
        encoder.encode(avatar.idle_frames[index % avatar.frame_count], sound)
        sounds.append(sound)
        packets.add(encoder.newest, index)
    encoder.finish()
    packets.hear(np.concatenate(sounds), complete=True)
    packets.close()
    return packets


async def cpu_percent(seconds: float) -> float:
    """How busy this process is for so long, in percent of a core."""
    used, at = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.monotonic() - at)


def rss_mb() -> float:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def viewers(service: RtcService, metrics: Metrics, ask: Ask) -> dict[str, Any]:
    """Measure viewers who hear silence, and then a sentence."""
    warm = await connected(service, ask, 1)
    await asyncio.sleep(1)
    before = rss_mb()
    links = await connected(service, ask, VIEWERS - 1)
    await asyncio.sleep(1)
    memory = (rss_mb() - before) / (VIEWERS - 1)
    came = await ask("bytes")
    idle = await cpu_percent(SECONDS)
    kbit_s = (await ask("bytes") - came) * 8 / 1000 / SECONDS / VIEWERS
    packets = speech(SECONDS + 3)
    for link in (*warm, *links):
        link.play(packets)
    await asyncio.sleep(1)
    speaking = await cpu_percent(SECONDS)
    for link in (*warm, *links):
        await link.close()
    await ask("close")
    return {
        "cpu_percent_per_speaking_viewer": round(speaking / VIEWERS, 2),
        "cpu_percent_per_idle_viewer": round(idle / VIEWERS, 2),
        "extra_encodes": int(metrics.rtc_bridges._value.get()),
        "memory_mb_per_viewer": round(memory, 2),
        "idle_kbit_s": round(kbit_s, 1),
        "skipped_ticks": int(metrics.rtc_skipped_ticks._value.get()),
    }


async def reconnects(service: RtcService, ask: Ask) -> float:
    """How much memory stays behind after many have come and gone."""
    for count in range(RECONNECTS + 10):
        if count == 10:
            before = rss_mb()
        for link in await connected(service, ask, 1):
            await link.close()
        await ask("close")
    return rss_mb() - before


async def measure(*, screen: bool) -> None:
    """Measure and write the file, with the figures on the `screen` or without."""
    metrics = Metrics()
    service = RtcService(RtcOptions(bind=("127.0.0.1",)), metrics, AiortcPeer)
    service.start()
    with Yardstick() as yardstick:
        async with receivers() as ask:
            yardstick.sample()
            figures = await viewers(service, metrics, ask)
            figures["rss_growth_mb_after_80_connects"] = round(await reconnects(service, ask), 1)
            yardstick.sample()
            figures["viewers"] = VIEWERS
        await service.close()
        if screen:
            figures |= await rtc_screen.figures(yardstick)
    report.write("rtc", figures, TARGETS, yardstick)


def main() -> None:
    """Measure on this machine."""
    asyncio.run(measure(screen="server" not in sys.argv[1:]))


if __name__ == "__main__":
    main()
