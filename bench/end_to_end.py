"""Viewers from speech to fragments: who pushes sound, and how late each fragment comes.

Used by `bench.gpu_end_to_end` (one process, stages left out) and `bench.gpus2` (workers), which
share their stand-ins and their command line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.cluster import steps
from bench.gpu import machine, say
from bench.sound import speak
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.cluster.worker_stream import WorkerStream
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.checkpoint_files import place
from ditto_avatar.face.ditto.engine import DittoEngine
from ditto_avatar.types import FRAME_RATE_HZ
from tests.face.ditto.hubert import LARGE, HubertSizes, write_hubert
from tests.face.ditto.standins import write_checkpoints
from tests.fakes.packs import make_pack

LEAD_S = 0.5  # between the first sound and the first frame shown
AHEAD_S = 1.0  # a viewer takes nothing that is shown later than that
# Viewers begin within this time: as people do who each speak a sentence of some four seconds, one
# independent of the other; and all at once.
SPREAD_S = 4.0
AT_ONCE_S = 0.4
ON_TIME = 0.99
SHORT_S = 6.0

# Yields how many pictures came with each thing that came, for so many frames of speech.
Watch = Callable[[int], AsyncIterator[int]]


@dataclass(slots=True)
class Played:
    """What the viewers of one trial saw: how late each frame came, in seconds (negative: early),
    and when the first of each viewer came after its sound began."""

    late_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    strained: bool = False

    @property
    def on_time(self) -> float:
        """The share of frames that came when they were due, or before."""
        return float(np.mean(np.array(self.late_s) <= 0))

    @property
    def good(self) -> bool:
        """Whether the device held it, in full quality."""
        return self.on_time >= ON_TIME and not self.strained


def drawn_and_encoded(engine: DittoEngine, avatar: Avatar, executor: Executor) -> Watch:
    """Watch as a worker sends it: the pictures of each fragment."""

    async def watch(frames: int) -> AsyncIterator[int]:
        stream = WorkerStream(await engine.open(avatar), avatar, 0, executor)
        async with aclosing(stream.run(steps(frames))) as pictures:
            async for message in pictures:
                if message.idle_frames:
                    yield len(message.idle_frames)

    return watch


def drawn(engine: DittoEngine, avatar: Avatar) -> Watch:
    """Watch the pictures themselves, without H.264."""

    async def watch(frames: int) -> AsyncIterator[int]:
        stream = await engine.open(avatar)
        speaking = asyncio.create_task(speak(stream, frames))
        try:
            async for _ in stream:
                yield 1
        finally:
            speaking.cancel()
            await stream.cancel()

    return watch


def at_workers(engine: RemoteEngine, avatar: Avatar) -> Watch:
    """Watch the fragments of whichever worker has a place."""

    async def watch(frames: int) -> AsyncIterator[int]:
        stream = await engine.open(avatar)
        waiting = 0
        try:
            await speak(stream, frames)
            async for frame in stream:
                waiting += 1
                if frame.fragments or frame.last:
                    yield waiting
                    waiting = 0
        finally:
            await stream.cancel()

    return watch


async def play(
    watches: Iterable[Watch],
    seconds: float,
    strained: Callable[[], bool],
    spread_s: float = SPREAD_S,
) -> Played:
    """Let one viewer for each of `watches` look on for `seconds`, as a player does: it shows a
    frame every 40 ms and fetches no more than a second ahead. They begin one after the other within
    `spread_s`. An error of one is an error of all; cancelling ends every stream."""
    played = Played()
    all_watches = list(watches)
    async with asyncio.TaskGroup() as viewers:
        for number, watch in enumerate(all_watches):
            delay_s = spread_s * number / len(all_watches)
            viewers.create_task(_view(watch, delay_s, int(seconds * FRAME_RATE_HZ), played))
        viewers.create_task(_watch_strain(strained, seconds + spread_s, played))
    return played


async def _watch_strain(strained: Callable[[], bool], seconds: float, played: Played) -> None:
    for _ in range(int(seconds / 0.1)):
        played.strained = played.strained or strained()
        await asyncio.sleep(0.1)


async def _view(watch: Watch, delay_s: float, frames: int, played: Played) -> None:
    await asyncio.sleep(delay_s)
    begun = time.perf_counter()
    seen = 0
    async with aclosing(watch(frames)) as pictures:  # type: ignore[type-var]
        async for count in pictures:
            now = time.perf_counter()
            if not seen:
                played.first_s.append(now - begun)
            for frame in range(seen, seen + count):
                played.late_s.append(now - (begun + LEAD_S + frame / FRAME_RATE_HZ))
            seen += count
            wanted = begun + LEAD_S + seen / FRAME_RATE_HZ - AHEAD_S
            await asyncio.sleep(max(0.0, wanted - now))
    if seen != frames:
        raise AssertionError(f"{seen} pictures came of {frames}")


async def most(
    trial: Callable[[int, float], Awaitable[Played]],
    start: int,
    step: int,
    seconds: float,
    say: Callable[[str], None],
) -> tuple[int, Played | None]:
    """The most viewers that are held: first in short trials, from `start` on `step` more, twice as
    many more and so on, and halved; then for `seconds`, one fewer each time until they are
    held."""
    count = start
    while count > step and not (await _tried(trial, count, SHORT_S, say)).good:
        count -= step
    best, more = count, step
    while (await _tried(trial, best + more, SHORT_S, say)).good:
        best += more
        more *= 2
    while more > step:
        more //= 2
        if (await _tried(trial, best + more, SHORT_S, say)).good:
            best += more
    if seconds <= SHORT_S:
        return best, None
    for count in range(best + step - 1, 0, -1):
        played = await _tried(trial, count, seconds, say)
        if played.good:
            return count, played
    return 0, None


async def _tried(
    trial: Callable[[int, float], Awaitable[Played]],
    count: int,
    seconds: float,
    say: Callable[[str], None],
) -> Played:
    played = await trial(count, seconds)
    say(f"{count} viewers for {seconds:.0f} s: {100 * played.on_time:.2f} % on time"
        + (", quality was lowered" if played.strained else ""))  # fmt: skip
    return played


def shown(played: Played) -> dict[str, float]:
    """How late frames and how soon first fragments came, in milliseconds."""
    late, first = np.array(played.late_s) * 1000, np.array(played.first_s) * 1000
    return {
        "on_time_share": round(played.on_time, 4),
        **{f"late_ms_p{p}": round(float(np.percentile(late, p)), 1) for p in (50, 99, 100)},
        "first_fragment_ms_p50": round(float(np.percentile(first, 50)), 1),
        "first_fragment_ms_max": round(float(first.max()), 1),
    }


Measure = Callable[[argparse.Namespace, Path, dict[str, Any]], Coroutine[Any, Any, None]]
"""Measures with the stand-ins of a folder; each figure is put into the table when it is known, so
that an interrupted run keeps what it found."""


def write_standins(folder: Path, sizes: HubertSizes = LARGE) -> None:
    """Write `folder`/checkpoints and `folder`/packs/oval, unless they are there."""
    checkpoints = folder / "checkpoints"
    if checkpoints.exists():
        return
    write_checkpoints(checkpoints)
    write_hubert(place(checkpoints, "audio_encoder"), sizes, opset=17)
    make_pack(folder / "packs" / "oval", atlas=False, blendshapes=False, enlarged=2)


def run(parser: argparse.ArgumentParser, measure: Measure, **about: Any) -> None:
    """Measure as the command line says, print, and write the file; `about` is said of the
    machine."""
    parser.add_argument("--out", type=Path)
    parser.add_argument("--commit", help="what is measured, for the result file")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--start", type=int, help="viewers to try first")
    parser.add_argument("--folder", type=Path, help="where stand-ins are kept for the next run")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    # Whoever ends a run that takes too long gets what it found until then.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        write_standins(folder)
        say("stand-ins written")
        with suppress(KeyboardInterrupt):
            asyncio.run(measure(arguments, folder, figures))
    content = {
        "commit": arguments.commit,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "cores": os.cpu_count(), **about},
        "figures": figures,
    }
    text = json.dumps(content, indent=2) + "\n"
    say(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")
