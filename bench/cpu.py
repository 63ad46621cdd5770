"""The embedded default on this machine: drawing, answering and rendering (results/cpu.json)."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from bench import report
from bench.packs import square_pack
from bench.report import Scale, Target
from bench.serving import serving
from bench.yardstick import Yardstick
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.render import Script, render
from ditto_avatar.speech.espeak import EspeakEngine
from ditto_avatar.speech.fallback import FallbackSpeech
from ditto_avatar.types import Language

EIGHT_WORDS = "The museum opens at nine every single morning."
TEXT = (
    "Good morning and welcome to our house. The exhibition is on the second floor, right behind "
    "the stairs. If you have any questions, just ask me. 안녕하세요, 무엇을 도와드릴까요?"
)
TURNS = 15
TARGETS = {
    "render_fps_per_core": Target(">= 75", Scale.RATE),
    "text_to_video_ready_ms_p50": Target("<= 600", Scale.TIME),
    "text_to_video_ready_ms_p95": Target("", Scale.TIME),
    "real_time_factor": Target("", Scale.RATE),
}


async def one_core(avatar: Avatar, yardstick: Yardstick) -> tuple[float, float]:
    """Frames drawn and encoded a second on one core, and seconds of film per second of work."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    speech, face = FallbackSpeech([EspeakEngine()]), PuppetEngine()
    rates, factors = [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.mp4"
            for _ in range(4):
                began = time.perf_counter()
                script = Script(TEXT, Language.ENGLISH)
                made = await render(script, avatar, face, speech, out)
                took = time.perf_counter() - began
                yardstick.sample()
                rates.append(made.frames / took)
                factors.append(made.seconds / took)
    finally:
        os.sched_setaffinity(0, cores)
        await speech.close()
        await face.close()
    # The first pass decodes the idle loop and loads libraries.
    return report.p50(rates[1:]), report.p50(factors[1:])


async def time_to_clip(yardstick: Yardstick) -> list[float]:
    """ms from a sentence to its finished clip, through the server, drawn anew every time."""
    times = []
    async with serving(DITTO_CACHE_MB="0") as server, server.viewer() as viewer:
        for turn in range(TURNS + 2):
            sent = await viewer.send(type="say", text=EIGHT_WORDS, idle_frame=(37 * turn) % 100)
            ready, _ = await viewer.until("video_ready")
            await viewer.until("turn.finished")
            times.append((ready - sent) * 1000)
            yardstick.sample()
    return times[2:]


def main() -> None:
    """Measure and write results/cpu.json."""
    with Yardstick() as yardstick:
        with square_pack() as avatar:
            fps, factor = asyncio.run(one_core(avatar, yardstick))
        times = asyncio.run(time_to_clip(yardstick))
    report.write(
        "cpu",
        {
            "render_fps_per_core": round(fps, 1),
            "text_to_video_ready_ms_p50": round(report.p50(times), 1),
            "text_to_video_ready_ms_p95": round(report.percentile(times, 95), 1),
            "real_time_factor": round(factor, 2),
            "picture": "512x512",
            "turns": len(times),
        },
        TARGETS,
        yardstick,
    )


if __name__ == "__main__":
    main()
