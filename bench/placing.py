"""Measure how several servers place streams at many workers that they share.

    python -m bench.placing

Twenty workers sleep for as long as an H100 was measured to draw (`bench.simulated_worker`). Three
processes place streams at them with the server's own code; each knows only what the workers tell.
The page, the proxy in front and the database have no part in it.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.report import RESULTS, Target, p50, percentile, write
from bench.simulated_worker import worker_process
from bench.sound import speak
from bench.yardstick import Yardstick
from ditto_avatar.cluster.fleet import Fleet
from ditto_avatar.cluster.remote import RemoteEngine
from ditto_avatar.errors import Busy
from ditto_avatar.face.pack import load_avatar
from tests.fakes.packs import make_pack

WORKERS, FRONTS = 20, 3
FIRST_VIEWERS, MORE_VIEWERS = 60, 40
"""Of each front: at first there are places for all; with those that come later there are not."""
_FRAMES = 300
_RAMP_S, _MORE_AT_S, _READY_S = 3.0, 5.0, 120.0
_TARGETS = {
    "over_admission": Target("0"),
    "imbalance_places": Target("≤ 1"),
    "first_fragment_ratio_p95": Target("≤ 1.5"),
}


def main() -> None:
    """Measure and write ``results/placing.json``; or be one of the fronts."""
    if sys.argv[1:2] == ["front"]:
        packs, start, first, more, *addresses = sys.argv[2:]
        told = asyncio.run(front(Path(packs), float(start), int(first), int(more), addresses))
        sys.stdout.write(json.dumps(told) + "\n")
        return
    with Yardstick() as yardstick, tempfile.TemporaryDirectory() as folder:
        make_pack(Path(folder) / "oval")
        yardstick.sample()
        figures = asyncio.run(measure(Path(folder)))
        yardstick.sample()
    write("placing", figures, _TARGETS, yardstick)


async def front(
    packs: Path, start: float, first: int, more: int, addresses: list[str]
) -> dict[str, Any]:
    """Place `first` streams from `start` (of the monotonic clock) on, and `more` later; return how
    long each waited for its first fragment in ms, and how many were refused."""
    avatar = load_avatar(packs / "oval")
    engine = await RemoteEngine.connect(addresses, None, lambda: None, place_s=1.0)
    while len(engine.fleet.workers) < len(addresses):
        await engine.fleet.changed()
    took: list[float] = []
    refused = 0

    async def watch(at: float) -> None:
        nonlocal refused
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        begun = time.perf_counter()
        try:
            stream = await engine.open(avatar)
        except Busy:
            refused += 1
            return
        await speak(stream, _FRAMES)
        waiting = True
        async for frame in stream:
            if waiting and frame.fragments:
                waiting = False
                took.append((time.perf_counter() - begun) * 1e3)
        await stream.cancel()

    times = [start + random.uniform(0, _RAMP_S) for _ in range(first)]
    times += [start + _MORE_AT_S + random.uniform(0, 1) for _ in range(more)]
    await asyncio.gather(*map(watch, times))
    await engine.close()
    return {"took": took, "refused": refused}


async def measure(packs: Path) -> dict[str, Any]:
    """One worker with one front, then all of them."""
    card = json.loads((RESULTS / "h100_end_to_end.json").read_text())["figures"]
    places, first_ms = int(card["admitted"]), float(card["first_fragment_ms_p50"])
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker_process(packs, places, first_ms)) for _ in range(WORKERS)
        ]
        addresses = [worker.address for worker in workers]
        fleet = Fleet(addresses, None, first_s=_READY_S)
        await fleet.open()
        async with asyncio.timeout(_READY_S):
            while len(fleet.workers) < WORKERS:
                await fleet.changed()
        [alone] = await _fronts(packs, 1, places, 0, addresses[:1])
        watching = asyncio.create_task(_imbalance(fleet))
        together = await _fronts(packs, FRONTS, FIRST_VIEWERS, MORE_VIEWERS, addresses)
        imbalance = await watching
        await fleet.close()
        most = [worker.stop() for worker in workers]
    one, all_ms = alone["took"], [ms for told in together for ms in told["took"]]
    return {
        "workers": WORKERS,
        "places": WORKERS * places,
        "fronts": FRONTS,
        "streams_asked": FRONTS * (FIRST_VIEWERS + MORE_VIEWERS),
        "streams_drawn": len(all_ms),
        "streams_refused": sum(told["refused"] for told in together),
        "over_admission": max(0, max(most) - places),
        "imbalance_places": imbalance,
        "one_worker_first_fragment_ms_p50": round(p50(one), 1),
        "first_fragment_ms_p50": round(p50(all_ms), 1),
        "first_fragment_ms_p95": round(percentile(all_ms, 95), 1),
        "first_fragment_ratio_p95": round(percentile(all_ms, 95) / p50(one), 2),
    }


async def _fronts(
    packs: Path, count: int, first: int, more: int, addresses: list[str]
) -> list[dict[str, Any]]:
    """Run fronts, processes of their own, to their end."""
    start = time.monotonic() + 8.0
    command = [sys.executable, "-m", "bench.placing", "front", str(packs), str(start)]
    command += [str(first), str(more), *addresses]
    running = [
        await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(count)
    ]
    answers = await asyncio.gather(*(process.communicate() for process in running))
    return [json.loads(out) for out, _ in answers]


async def _imbalance(fleet: Fleet) -> int:
    """When all of the first streams are drawn: how many more the fullest worker draws than the
    emptiest."""
    while True:
        taken = [worker.places.taken for worker in fleet.workers if worker.places]
        if sum(taken) >= FRONTS * FIRST_VIEWERS:
            return max(taken) - min(taken)
        await fleet.changed()


if __name__ == "__main__":
    main()
