"""Measure a whole installation on this machine: nginx, three servers on one PostgreSQL database,
twenty workers that sleep for as long as an H100 was measured to draw, and viewers over TLS.

    python -m bench.fleet                   writes results/fleet.json
    python -m bench.fleet --viewers 600     as far as the machine carries them

nginx is Debian's, with the example of `deploy/proxy/`, its limits for one visitor included: each
viewer has an address of its own. Two cores carry all of it, the viewers too: so workers have fewer
places than a card, and a viewer thinks for a minute and a half, about twenty of 300 being answered
at any moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import Any

from bench.fleet_viewers import Viewer
from bench.report import RESULTS, Scale, Target, p50, percentile, write
from bench.serving import Serving, serving
from bench.simulated_worker import WorkerProcess, worker_process
from bench.yardstick import Yardstick
from ditto_avatar.cluster.fleet import Fleet
from ditto_avatar.memory import allow_open_files
from tests.fakes.packs import make_pack
from tests.fakes.postgres import running_postgres
from tests.fakes.proxies import NAME, Proxy, nginx

FRONTS, WORKERS, PLACES, VIEWERS = 3, 20, 2, 300
TURNS = 1
_FIRST_SHARE = 0.75
"""Of all places: so many viewers ask before anybody's answer has ended."""
_RAMP_S, _CONNECT_S, _THINKS_S = 8.0, 15.0, (5.0, 175.0)
_READY_S, _LONGEST_S = 180.0, 300.0
_TARGETS = {
    "over_admission": Target("0"),
    "imbalance_places": Target("≤ 1"),
    "first_fragment_ratio_p95": Target("≤ 1.5"),
    "answers_failed": Target("0"),
    "server_cpu_ms_per_answer_s": Target("", Scale.TIME),
}


def main() -> None:
    """Measure and write ``results/fleet.json``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--viewers", type=int, default=VIEWERS)
    arguments.add_argument("--workers", type=int, default=WORKERS)
    chosen = arguments.parse_args()
    allow_open_files(16 * chosen.viewers + 1_000)
    with (
        Yardstick() as yardstick,
        tempfile.TemporaryDirectory() as place,
        running_postgres() as postgres,
        postgres.database() as url,
    ):
        make_pack(Path(place) / "packs" / "oval")
        measuring = measure(Path(place), url, chosen.viewers, chosen.workers, yardstick)
        figures = asyncio.run(measuring)
    write("fleet", figures, _TARGETS, yardstick)


async def measure(
    folder: Path, database: str, viewers: int, workers: int, yardstick: Yardstick
) -> dict[str, Any]:
    """One worker with one server behind nginx; then all of them."""
    card = json.loads((RESULTS / "h100_end_to_end.json").read_text(encoding="utf-8"))["figures"]
    first_ms = float(card["first_fragment_ms_p50"])
    kept = folder / "encoded"
    kept.mkdir()
    with ExitStack() as stack:
        running = [
            stack.enter_context(worker_process(folder / "packs", PLACES, first_ms, kept))
            for _ in range(workers)
        ]
        fleet = Fleet([worker.address for worker in running], None, first_s=_READY_S)
        await fleet.open()
        async with asyncio.timeout(_READY_S):
            while len(fleet.workers) < workers:
                await fleet.changed()
        yardstick.sample()
        async with installation(folder / "one", database, 1, running[:1]) as (proxy, _):
            await ramp(proxy, 1, 0.0, {})  # encodes the sentences, for all
            alone = await ramp(proxy, PLACES, _RAMP_S, {})
        yardstick.sample()
        async with installation(folder / "all", database, FRONTS, running) as (proxy, servers):
            begun_s = cpu_s(servers)
            imbalance: dict[str, int] = {}
            first = int(_FIRST_SHARE * PLACES * workers)
            watching = asyncio.create_task(watch_places(fleet, first, imbalance))
            ramped = await ramp(proxy, first, _RAMP_S, imbalance)
            watching.cancel()
            yardstick.sample()
            met = await crowd(proxy, viewers)
            yardstick.sample()
            spent_s = cpu_s(servers) - begun_s
        await fleet.close()
        most = [worker.stop() for worker in running]
    return {
        "fronts": FRONTS,
        "workers": workers,
        "places": workers * PLACES,
        "viewers": viewers,
        **imbalance,
        "over_admission": max(0, max(most) - PLACES),
        "fullest_worker_places": max(most),
        **_told(alone, [*ramped, *met], spent_s),
    }


def _told(alone: list[Viewer], everybody: list[Viewer], spent_s: float) -> dict[str, Any]:
    heard_s = sum(viewer.heard_s for viewer in everybody)
    one = [ms for viewer in alone for ms in viewer.took_ms]
    took = [ms for viewer in everybody for ms in viewer.took_ms]
    return {
        "answers": sum(len(viewer.took_ms) for viewer in everybody),
        "answers_failed": sum(len(viewer.errors) for viewer in everybody),
        "answers_s": round(heard_s),
        "media_kb_per_answer_s": round(
            sum(viewer.media_bytes for viewer in everybody) / heard_s / 1e3
        ),
        "server_cpu_ms_per_answer_s": round(spent_s / heard_s * 1e3, 1),
        "one_worker_first_fragment_ms_p50": round(p50(one), 1),
        "one_worker_first_fragment_ms_p95": round(percentile(one, 95), 1),
        "first_fragment_ms_p50": round(p50(took), 1),
        "first_fragment_ms_p95": round(percentile(took, 95), 1),
        "first_fragment_ratio_p50": round(p50(took) / p50(one), 2),
        "first_fragment_ratio_p95": round(percentile(took, 95) / p50(one), 2),
    }


@asynccontextmanager
async def installation(
    folder: Path, database: str, count: int, workers: list[WorkerProcess]
) -> AsyncIterator[tuple[Proxy, list[int]]]:
    """Run `count` servers that draw at `workers`, behind nginx; yields it, and their processes."""
    async with AsyncExitStack() as stack:
        servers = await asyncio.gather(
            *(
                stack.enter_async_context(_server(folder, number, database, workers))
                for number in range(count)
            )
        )
        listed = [f"server 127.0.0.1:{server.port};" for server in servers]
        changes = {listed[0]: " ".join(listed)}
        proxy = await stack.enter_async_context(nginx(folder, servers[0].port, changes))
        yield proxy, [server.pid for server in servers]


def _server(
    folder: Path, number: int, database: str, workers: list[WorkerProcess]
) -> AbstractAsyncContextManager[Serving]:
    data = folder / str(number)
    data.mkdir(parents=True)
    return serving(
        None,
        data,
        DITTO_PEER_URL="http://127.0.0.1:{port}",
        DITTO_TRUSTED_PROXIES="127.0.0.1",
        DITTO_ALLOWED_HOSTS=NAME,
        DITTO_DATABASE_URL=database,
        DITTO_AVATARS_DIR=str(folder.parent / "packs"),
        DITTO_AVATAR="oval",
        DITTO_SPEECH="espeak",
        DITTO_DIALOGUE="offline",
        DITTO_WORKERS=",".join(worker.address for worker in workers),
        DITTO_CACHE_MB="0",
        DITTO_SHUTDOWN_S="30",
    )


def cpu_s(processes: list[int]) -> float:
    """Time of the processor that they and their children have taken, the voice's among them."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(path.parent.name) in processes:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) in processes:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def ramp(
    proxy: Proxy, viewers: int, within_s: float, balance: dict[str, int]
) -> list[Viewer]:
    """Let viewers ask once, one after the other within a time that is shorter than an answer."""
    people = [Viewer(number) for number in range(viewers)]
    async with AsyncExitStack() as stack, asyncio.timeout(_LONGEST_S):
        for person in people:
            await stack.enter_async_context(person.connected(proxy))

        async def asks(number: int, person: Viewer) -> None:
            await asyncio.sleep(number * within_s / viewers)
            await person.ask()

        await asyncio.gather(*(asks(number, person) for number, person in enumerate(people)))
    return people


async def crowd(proxy: Proxy, viewers: int) -> list[Viewer]:
    """Let viewers come, ask, listen, think and ask again."""
    people = [Viewer(1_000 + number) for number in range(viewers)]

    async def visits(person: Viewer) -> None:
        await asyncio.sleep(random.uniform(0, _CONNECT_S))
        async with person.connected(proxy):
            for _ in range(TURNS):
                await asyncio.sleep(random.uniform(*_THINKS_S))
                await person.ask()

    async with asyncio.timeout(_LONGEST_S):
        await asyncio.gather(*map(visits, people))
    return people


async def watch_places(fleet: Fleet, until: int, told: dict[str, int]) -> None:
    """Note how many more the fullest worker draws than the emptiest, until `until` are drawn, or
    until one has ended."""
    before = 0
    while before < until:
        taken = [worker.places.taken for worker in fleet.workers if worker.places]
        if sum(taken) < before:
            return
        before = sum(taken)
        told["imbalance_streams"] = before
        told["imbalance_places"] = max(taken) - min(taken)
        await fleet.changed()


if __name__ == "__main__":
    main()
