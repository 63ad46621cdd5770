"""Many people at once, and for long (results/load.json)."""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from bench import report
from bench.report import Target
from bench.serving import Serving, Viewer, serving
from bench.yardstick import Yardstick
from ditto_avatar.media.encode import fragment_lengths

SPEAKING = 4
SESSIONS = 200
CROWD = 16
TEXT = (
    "Welcome to our house, it is good to see you. The exhibition is on the second floor. "
    "Take the stairs on your left and follow the blue line. Please ask me if you get lost."
)
TARGETS = {
    "worst_stall_ms_4_speaking": Target("<= 100"),
    "memory_mb_200_sessions": Target("<= 400"),
    "soak_growth_percent": Target("no growth"),
}


async def worst_stall(server: Serving) -> float:
    """The longest that any of four viewers waits for the next fragment while it plays, in ms.

    Each plays from its first fragment on; a stall is how late a fragment comes after the media
    before it has been played."""
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(server.viewer()) for _ in range(SPEAKING)]
        stalls = await asyncio.gather(*(_stall(viewer) for viewer in viewers))
    return max(stalls)


async def _stall(viewer: Viewer) -> float:
    worst = 0.0
    for _ in range(3):
        viewer.messages.clear()
        await viewer.send(type="say", text=TEXT, idle_frame=0)
        await viewer.until("turn.finished")
        worst = max(worst, _worst_of(viewer))
        await _hear_all(viewer)
    return worst * 1000


def _worst_of(viewer: Viewer) -> float:
    """Replays the arrivals against a player that never waits longer than it must, in seconds."""
    durations = {
        m["segment"]: m["duration"] for _, m in viewer.messages if m["type"] == "video_ready"
    }
    playing_until: float | None = None
    worst = 0.0
    for at, message in viewer.messages:
        if message["type"] == "segment.data" and message["bytes"]:
            if playing_until is not None:
                worst = max(worst, at - playing_until)
            start = at if playing_until is None else max(at, playing_until)
            playing_until = start + _fragment_seconds(
                message["index"], durations[message["segment"]]
            )
    return worst


def _fragment_seconds(index: int, duration: float) -> float:
    lengths = list(islice(fragment_lengths(), index + 1))
    before = sum(lengths[:-1]) / 25
    return max(0.0, min(lengths[-1] / 25, duration - before))


async def _hear_all(viewer: Viewer) -> None:
    for _, message in list(viewer.messages):
        if message["type"] == "video_ready":
            await viewer.send(
                type="playback", segment=message["segment"], state="ended",
                media_ms=message["duration"] * 1000,
            )  # fmt: skip


async def idle_memory(server: Serving) -> float:
    """MB of the server with 200 connected sessions, of which some have had an answer, a few at
    the same time."""
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(server.viewer()) for _ in range(SESSIONS)]
        for few in range(0, 20, SPEAKING):
            await asyncio.gather(*(_answered(viewer) for viewer in viewers[few : few + SPEAKING]))
        return _memory_mb(server.pid)


async def _answered(viewer: Viewer) -> None:
    await viewer.send(type="user.text", text="What is Ditto Avatar?", idle_frame=0)
    await viewer.until("turn.finished")


async def crowd(server: Serving) -> None:
    """More people at once than later, each at another moment of the idle loop: pools of threads
    and connections and the memory of pictures are full from then on."""
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(server.viewer()) for _ in range(CROWD)]
        await asyncio.gather(*(_told(viewer, place) for place, viewer in enumerate(viewers)))


async def _told(viewer: Viewer, place: int) -> None:
    # Every text is new, so it is drawn, for longer than until the next one's moment.
    text = f"You are number {place} of our guests tonight, and it is good to see you."
    await viewer.send(type="say", text=text, idle_frame=place * 16)
    await viewer.until("turn.finished")


async def soak(server: Serving, minutes: float) -> dict[str, float]:
    """Growth in percent between the first and the last third of a long run, of memory, files and
    threads; people come, talk, interrupt and go."""
    samples: list[tuple[float, int, int]] = []
    ends = time.monotonic() + minutes * 60
    turn = 0
    while time.monotonic() < ends:
        async with server.viewer() as viewer:
            await viewer.send(type="user.text", text="What is Ditto Avatar?", idle_frame=turn % 100)
            if turn % 3 == 0:
                await viewer.until("segment.data")
                await viewer.send(type="interrupt")
                await viewer.until("turn.interrupted")
            else:
                await viewer.until("turn.finished")
        samples.append((_memory_mb(server.pid), _files(server.pid), _threads(server.pid)))
        turn += 1
    third = max(1, len(samples) // 3)
    growth = {}
    for name, column in (("memory", 0), ("files", 1), ("threads", 2)):
        early = report.p50([float(sample[column]) for sample in samples[third : 2 * third]])
        late = report.p50([float(sample[column]) for sample in samples[-third:]])
        growth[name] = round((late / early - 1) * 100, 2)
    return {**growth, "turns": turn}


def _memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the process does not tell its memory")


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def measure(minutes: float, yardstick: Yardstick) -> dict[str, Any]:
    """All figures; sentences are drawn anew every time but in the soak. The yardstick only says in
    which state of the machine it was: none of these figures is a time of the processor's."""
    async with serving(DITTO_CACHE_MB="0") as server:
        await soak(server, 0.05)  # faces prepared, libraries loaded
        yardstick.sample()
        stall = await worst_stall(server)
        yardstick.sample()
    async with serving() as server:
        memory = await idle_memory(server)
    async with serving() as server:
        await crowd(server)
        growth = await soak(server, minutes)
    yardstick.sample()
    return {
        "worst_stall_ms_4_speaking": round(stall, 1),
        "memory_mb_200_sessions": round(memory, 1),
        "soak_growth_percent": growth["memory"],
        "soak_growth_percent_files": growth["files"],
        "soak_growth_percent_threads": growth["threads"],
        "soak_minutes": minutes,
        "soak_turns": growth["turns"],
    }


def main() -> None:
    """Measure and write results/load.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the soak")
    minutes = parser.parse_args().minutes
    with Yardstick() as yardstick:
        figures = asyncio.run(measure(minutes, yardstick))
    report.write("load", figures, TARGETS, yardstick)


if __name__ == "__main__":
    main()
