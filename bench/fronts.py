"""Measure several servers on one database: what is lost and cut when one is killed or restarted.

    python -m bench.fronts                  writes both parts of results/fronts.json
    python -m bench.fronts --part kills     one of them

The servers are processes of their own on one PostgreSQL (Debian's) of this machine. Those that are
killed draw the puppet; those that are restarted draw at workers that sleep (`simulated_worker`), so
that two cores carry fifty viewers who talk and listen. Viewers do what the page does: they come
back to a server that works, with the number of the last event and its epoch, and send again what
was not confirmed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.report import Scale, Target, p50, write_part
from bench.serving import Serving, serving
from bench.simulated_worker import worker_process
from bench.visitors import Person
from bench.yardstick import Yardstick
from tests.fakes.packs import make_pack
from tests.fakes.postgres import running_postgres

KILLS = 50
VIEWERS = 50
FRONTS = 3
_DEADLINE_S = 240.0
_ANSWER = "We open at nine in the morning on weekdays. The garden is behind the house."
_WORKERS, _PLACES, _FIRST_MS = 4, 16, 290.0
_TARGETS = {
    "front_killed_speaking_again_s": Target("≤ 5", Scale.TIME),
    "messages_lost": Target("0"),
    "answers_twice": Target("0"),
    "rolling_restart_answers_cut": Target("0"),
    "rolling_restart_messages_lost": Target("0"),
}


@asynccontextmanager
async def fronts(
    folder: Path, database: str, count: int, workers: str = ""
) -> AsyncIterator[list[_Front]]:
    """Run `count` servers, which draw at `workers` or by themselves."""
    async with AsyncExitStack() as stack:
        running = [_Front(folder / str(n), database, workers) for n in range(count)]
        for front in running:
            stack.push_async_callback(front.stop)
            await front.start()
        yield running


class _Front:
    """One server, which keeps its port and its folder when it is started again."""

    def __init__(self, folder: Path, database: str, workers: str) -> None:
        self._folder = folder
        self._workers = workers
        self._database = database
        self._stack = AsyncExitStack()
        self.server: Serving | None = None
        folder.mkdir(exist_ok=True)

    async def start(self) -> None:
        """Start it, and return when it is ready."""
        self._stack = AsyncExitStack()
        packs = self._folder.parent / "packs"
        self.server = await self._stack.enter_async_context(
            serving(
                None,
                self._folder,
                DITTO_PEER_URL="http://127.0.0.1:{port}",
                DITTO_TRUSTED_PROXIES="127.0.0.1",
                DITTO_DATABASE_URL=self._database,
                DITTO_AVATARS_DIR=str(packs),
                DITTO_AVATAR="oval",
                DITTO_SPEECH="espeak",
                DITTO_DIALOGUE="offline",
                DITTO_ADDRESS_SHARE="1",
                DITTO_WORKERS=self._workers,
                DITTO_CACHE_MB="0",
                DITTO_MAX_SPEAKING=str(_WORKERS * _PLACES),
                DITTO_MAX_WAITING="200",
                DITTO_SHUTDOWN_S="120",
            )
        )

    async def again(self) -> None:
        """Start it anew after its end."""
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        await self._stack.aclose()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self.server is not None
        return self.server.port


async def kill_one(folder: Path, database: str, kills: int) -> dict[str, Any]:
    """Kill the server of a talking viewer again and again. Three servers take turns: the one that
    was killed starts anew while the next two are."""
    again_s, lost, twice, errors = [], 0, 0, 0
    async with fronts(folder, database, FRONTS) as running:
        coming: dict[_Front, asyncio.Task[None]] = {}
        try:
            for number in range(kills):
                victim, other = running[number % FRONTS], running[(number + 1) % FRONTS]
                for front in (victim, other):
                    if front in coming:
                        await coming.pop(front)
                person = Person(f"k{number}", [victim.port])
                async with asyncio.timeout(_DEADLINE_S):
                    again_s.append(await _killed(victim, other, person))
                coming[victim] = asyncio.create_task(victim.again())
                names = [entry.get("text") for entry in await _kept(other.port, person)]
                lost += max(0, person.asked - len(names))
                twice += max(0, len(names) - person.asked)
                errors += len(person.errors)
        finally:
            await asyncio.gather(*coming.values(), return_exceptions=True)
    return {
        "front_kills": kills,
        "front_kill_fronts": FRONTS,
        "front_killed_speaking_again_s": round(max(again_s), 2),
        "front_killed_speaking_again_s_p50": round(p50(again_s), 2),
        "messages_lost": lost,
        "answers_twice": twice,
        "front_kill_errors": errors,
    }


async def _killed(victim: _Front, other: _Front, person: Person) -> float:
    """Kill the server at the first fragment of an answer; seconds until the person hears the next
    answer, from `other`."""
    began = asyncio.Event()
    talking = asyncio.create_task(person.talk(1, began))
    await began.wait()
    assert victim.server is not None
    person.ports = [other.port]
    struck = time.perf_counter()
    await victim.server.kill()
    await talking
    person.first_media.clear()
    await person.talk(1)
    return min(person.first_media.values()) - struck


async def _kept(port: int, person: Person) -> list[dict[str, Any]]:
    """What is stored: one entry for each text that was said."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        headers = {"Authorization": f"Bearer {person.ready['token']}"}
        answer = await http.get(f"/api/sessions/{person.ready['session']}", headers=headers)
        answer.raise_for_status()
        return list(answer.json()["history"])


async def restart_all(folder: Path, database: str, viewers: int) -> dict[str, Any]:
    """Restart three servers, one after the other, while viewers talk."""
    encoded = folder / "encoded"
    encoded.mkdir()
    async with AsyncExitStack() as stack:
        workers = [
            stack.enter_context(worker_process(folder / "packs", _PLACES, _FIRST_MS, encoded))
            for _ in range(_WORKERS)
        ]
        addresses = ",".join(worker.address for worker in workers)
        running = await stack.enter_async_context(fronts(folder, database, FRONTS, addresses))
        people = [Person(f"r{n}", [], _ANSWER, listens=True) for n in range(viewers)]

        def assign() -> None:
            ports = [front.port for front in running if front.server is not None]
            for number, person in enumerate(people):
                person.ports = ports[number % len(ports) :] + ports[: number % len(ports)]

        assign()
        # The sentences are encoded once, for all.
        await Person("first", [running[0].port], _ANSWER).talk(1)
        done = asyncio.Event()
        talking = [asyncio.create_task(person.talk_until(done)) for person in people]
        begun = time.perf_counter()
        async with asyncio.timeout(_DEADLINE_S * 2):
            for front in running:
                await front.stop()
                await front.start()
                assign()
            restarted_s = time.perf_counter() - begun
            done.set()
            await asyncio.gather(*talking)
        kept = [len(await _kept(running[0].port, person)) for person in people]
        asked = sum(person.asked for person in people)
        return {
            "rolling_restart_viewers": viewers,
            "rolling_restart_answers": asked,
            "rolling_restart_answers_cut": sum(person.cut for person in people),
            "rolling_restart_messages_lost": asked - sum(kept),
            "rolling_restart_errors": sum(len(person.errors) for person in people),
            "rolling_restart_errors_by_code": Counter(
                c for person in people for c in person.errors
            ),
            "rolling_restart_s": round(restarted_s, 1),
        }


def main() -> None:
    """Measure both parts, or one, and write them to ``results/fronts.json``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=KILLS)
    arguments.add_argument("--viewers", type=int, default=VIEWERS)
    arguments.add_argument("--part", choices=("restart", "kills"), help="measure this one only")
    chosen = arguments.parse_args()
    parts = {"restart": (restart_all, chosen.viewers), "kills": (kill_one, chosen.kills)}
    with tempfile.TemporaryDirectory() as place, running_postgres() as postgres:
        make_pack(Path(place) / "packs" / "oval")
        for part, (measure, count) in parts.items():
            if chosen.part not in (None, part):
                continue
            with Yardstick() as yardstick, postgres.database() as url:
                yardstick.sample()
                figures = asyncio.run(measure(Path(place), url, count))
                yardstick.sample()
            write_part("fronts", part, figures, _TARGETS, yardstick)


if __name__ == "__main__":
    main()
