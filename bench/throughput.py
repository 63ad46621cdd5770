"""What the puppet costs: frames a second and core, memory, the wait for the first frame.

    python -m bench.throughput          writes results/throughput.json

At 512x512, on one core, speech all the time (silence would be free). Rates count the processor
time that was used, and so does their yardstick.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from bench.packs import square_pack
from bench.quality import ENGLISH, spoken
from bench.report import Scale, Target
from bench.yardstick import Yardstick
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.engine import PuppetEngine
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.renderer import FramePainter, Renderer
from ditto_avatar.media.encode import FragmentEncoder
from ditto_avatar.types import SAMPLES_PER_FRAME, Language, Phoneme, SpeechChunk, VideoFrame, joined

ROUNDS = 5
PERFORMANCES = 8
# The silence before each sentence.
LEAD = 2_400
TARGETS = {
    "drawn_fps_per_core": Target(">= 300", Scale.RATE),
    "drawn_and_encoded_fps_per_core": Target(">= 150", Scale.RATE),
    "memory_per_performance_mb": Target("<= 60"),
    "first_frame_ms_p50": Target("<= 30", Scale.TIME),
    "first_frame_ms_p95": Target("", Scale.TIME),
}


async def speech() -> SpeechChunk:
    """Half a minute of sentences without a pause between them."""
    return joined([await spoken(text, Language.ENGLISH, "en-us+f3", 165) for text in ENGLISH[:10]])


def poses(sound: SpeechChunk) -> list[Pose]:
    """How the face moves to `sound`."""
    actor = Actor()
    actor.push(sound.samples, sound.phonemes)
    actor.flush()
    return [actor.act() for _ in range(actor.owed)]


def drawn_fps(avatar: Avatar, sound: SpeechChunk, yardstick: Yardstick) -> float:
    """Frames acted and drawn a second."""
    painter = FramePainter(Renderer(avatar), 0)
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        track = poses(sound)
        for index, pose in enumerate(track):
            painter.draw(index % avatar.frame_count, pose)
        rates.append(len(track) / (time.process_time() - began))
        yardstick.sample()
    return report.p50(rates)


def encoded_fps(avatar: Avatar, sound: SpeechChunk, yardstick: Yardstick) -> float:
    """The same with H.264 and AAC."""
    painter = FramePainter(Renderer(avatar), 0)
    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        encoder = FragmentEncoder(avatar.width, avatar.height)
        track = poses(sound)
        samples = np.pad(sound.samples, (0, len(track) * SAMPLES_PER_FRAME - len(sound.samples)))
        for index, pose in enumerate(track):
            picture = painter.draw(index % avatar.frame_count, pose)
            start = index * SAMPLES_PER_FRAME
            encoder.encode(picture, samples[start : start + SAMPLES_PER_FRAME])
        encoder.finish()
        rates.append(len(track) / (time.process_time() - began))
        yardstick.sample()
    return report.p50(rates)


async def first_frame_ms(engine: PuppetEngine, avatar: Avatar, sound: SpeechChunk) -> list[float]:
    """From the first 200 ms of voice to the first frame."""
    begin, end = LEAD, LEAD + 3_200
    heard = [p for p in sound.phonemes if begin <= p.start and p.end < end]
    phonemes = [Phoneme(p.symbol, p.start - begin, p.end - begin, p.stressed) for p in heard]
    waits = []
    for start in range(20):
        stream = await engine.open(avatar, start)
        frames = aiter(stream)
        began = time.perf_counter()
        await stream.push(sound.samples[begin:end], phonemes)
        await anext(frames)
        waits.append((time.perf_counter() - began) * 1_000)
        await stream.cancel()
    return waits


async def memory_mb(engine: PuppetEngine, avatar: Avatar, sound: SpeechChunk) -> float:
    """What a stream in full swing adds to the process."""
    before = _resident_mb()
    running: list[tuple[Any, AsyncIterator[VideoFrame]]] = []
    for start in range(PERFORMANCES):
        stream = await engine.open(avatar, start * 10)
        await stream.push(sound.samples, sound.phonemes)
        frames = aiter(stream)
        for _ in range(30):
            await anext(frames)
        running.append((stream, frames))
    grown = _resident_mb() - before
    for stream, _ in running:
        await stream.cancel()
    return grown / PERFORMANCES


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(yardstick: Yardstick) -> dict[str, Any]:
    """All figures on one core."""
    cores = os.sched_getaffinity(0)
    sound = await speech()
    with square_pack() as avatar:
        os.sched_setaffinity(0, {max(cores)})
        engine = PuppetEngine(workers=1)
        try:
            first = await first_frame_ms(engine, avatar, sound)
            memory = await memory_mb(engine, avatar, sound)
            drawn = drawn_fps(avatar, sound, yardstick)
            encoded = encoded_fps(avatar, sound, yardstick)
        finally:
            await engine.close()
            os.sched_setaffinity(0, cores)
    return {
        "drawn_fps_per_core": round(drawn, 1),
        "drawn_and_encoded_fps_per_core": round(encoded, 1),
        "memory_per_performance_mb": round(memory, 1),
        "first_frame_ms_p50": round(report.p50(first[1:]), 1),
        "first_frame_ms_p95": round(report.percentile(first[1:], 95), 1),
    }


def main() -> None:
    """Measure and write."""
    with Yardstick(time.process_time) as yardstick:
        figures = asyncio.run(measure(yardstick))
    report.write("throughput", figures, TARGETS, yardstick)


if __name__ == "__main__":
    main()
