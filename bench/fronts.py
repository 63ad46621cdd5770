"""Measure several servers on one database: what is lost and cut when one is killed or restarted.

    python -m bench.fronts                  writes results/fronts.json
    python -m bench.fronts --kills 50       more of them

The servers are processes of their own on one PostgreSQL (Debian's) of this machine, with the
puppet. Viewers do what the page does: they come back to a server that works, with the number of
the last event and its epoch, and send again what was not confirmed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.report import Scale, Target, p50, write
from bench.serving import Serving, serving
from bench.yardstick import Yardstick
from tests.fakes.packs import make_pack
from tests.fakes.postgres import running_postgres

KILLS = 50
VIEWERS = 50
FRONTS = 3
_TEXT = "We open at nine."
_RETRY_S, _MOVE_S, _RESTART = 3.0, 1.0, 1012
_DEADLINE_S = 240.0
_LISTENS_S = 1.5
_TARGETS = {
    "front_killed_speaking_again_s": Target("≤ 5", Scale.TIME),
    "messages_lost": Target("0"),
    "answers_twice": Target("0"),
    "rolling_restart_answers_cut": Target("0"),
    "rolling_restart_messages_lost": Target("0"),
}


@dataclass
class Person:
    """A viewer that comes back by itself. `ports` are tried in turn, as a proxy does."""

    name: str
    ports: list[int]
    ready: dict[str, Any] = field(default_factory=dict)
    after: int = 0
    asked: int = 0
    cut: int = 0
    errors: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    first_media: dict[str, float] = field(default_factory=dict)
    _waiting: dict[str, Any] | None = None
    _own: dict[str, str] = field(default_factory=dict)

    async def talk(self, turns: int, began: asyncio.Event | None = None) -> None:
        """Ask `turns` times, each time until the answer was played. `began` is set at the first
        fragment of the last one."""
        for number in range(turns):
            self.asked += 1
            self._waiting = {"type": "say", "text": _TEXT, "id": f"{self.name}-{self.asked}"}
            last = number == turns - 1
            await self._until_finished(str(self._waiting["id"]), began if last else None)

    async def talk_until(self, done: asyncio.Event) -> None:
        """Ask again and again, with a moment of listening in between, until `done` is set."""
        while not done.is_set():
            await self.talk(1)
            await asyncio.sleep(_LISTENS_S)

    async def _until_finished(self, asked: str, began: asyncio.Event | None) -> None:
        for attempt in itertools.count():
            code = None
            try:
                async with connect(self._address(attempt), max_size=None) as socket:
                    if await self._watch(socket, asked, began):
                        return
                    code = socket.close_code
            except ConnectionClosed as closed:
                code = None if closed.rcvd is None else closed.rcvd.code
            except (OSError, WebSocketException):
                pass  # nobody there, or not any more
            moved = code == _RESTART
            # As `retryDelay` in web/core/connection.js; a proxy finds a server that answers.
            await asyncio.sleep(random.uniform(0, _MOVE_S) if moved else _RETRY_S)

    def _address(self, attempt: int) -> str:
        return f"ws://127.0.0.1:{self.ports[attempt % len(self.ports)]}/ws"

    async def _watch(self, socket: Any, asked: str, began: asyncio.Event | None) -> bool:
        """Serve one connection; True when the answer was played."""
        hello = {"type": "hello", **self.ready}
        if self.ready:
            hello["after"] = self.after
        await socket.send(json.dumps(hello))
        async for frame in socket:
            if isinstance(frame, bytes):
                self.first_media.setdefault(asked, time.perf_counter())
                if began is not None:
                    began.set()
                continue
            event = json.loads(frame)
            self.after = event.get("seq") or self.after
            match event["type"]:
                case "session.ready":
                    if self.ready and not event["resumed"]:
                        self.errors.append("the session is gone")
                    self.ready = {name: event[name] for name in ("session", "token", "epoch")}
                    self.after = event["seq"] if event["gap"] else self.after
                    if self._waiting is not None:
                        await socket.send(json.dumps(self._waiting))
                    elif event["gap"] and event["running_turn"] is None:
                        return self._gone(asked)
                case "turn.started":
                    self._own[event["turn"]] = event.get("id") or ""
                    if event.get("id") == asked:
                        self._waiting = None
                case "video_ready":
                    played = round(event["duration"] * 1000)
                    report = {"segment": event["segment"], "state": "ended", "media_ms": played}
                    await socket.send(json.dumps({"type": "playback", **report}))
                case "turn.finished" if self._own.get(event["turn"]) == asked:
                    self.finished.add(asked)
                    return True
                case "turn.interrupted" if self._own.get(event["turn"]) == asked:
                    return self._gone(asked)
                case "error":
                    self.errors.append(event["code"])
        return False

    def _gone(self, asked: str) -> bool:
        """Count an answer that was cut: it was accepted, and ended before its end."""
        self.cut += 1
        return True


@asynccontextmanager
async def fronts(folder: Path, database: str, count: int) -> AsyncIterator[list[_Front]]:
    """Run `count` servers."""
    async with AsyncExitStack() as stack:
        running = [_Front(folder / str(n), database) for n in range(count)]
        for front in running:
            stack.push_async_callback(front.stop)
            await front.start()
        yield running


class _Front:
    """One server, which keeps its port and its folder when it is started again."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
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
                DITTO_MAX_SPEAKING="16",
                DITTO_MAX_WAITING="200",
                DITTO_SHUTDOWN_S="120",
            )
        )

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        await self._stack.aclose()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self.server is not None
        return self.server.port


async def kill_one(folder: Path, database: str, kills: int) -> dict[str, Any]:
    """Kill the server of a talking viewer again and again, with another server beside it."""
    again_s, lost, twice, errors = [], 0, 0, 0
    async with fronts(folder, database, 2) as running:
        for number in range(kills):
            victim, other = running[number % 2], running[(number + 1) % 2]
            person = Person(f"k{number}", [victim.port])
            began = asyncio.Event()
            talking = asyncio.create_task(person.talk(1, began))
            async with asyncio.timeout(_DEADLINE_S):
                await began.wait()
                assert victim.server is not None
                person.ports = [other.port]
                struck = time.perf_counter()
                await victim.server.kill()
                await talking
                person.first_media.clear()
                await person.talk(1)
                again_s.append(min(person.first_media.values()) - struck)
                kept = await _kept(other.port, person)
            names = [entry.get("text") for entry in kept]
            lost += max(0, person.asked - len(names))
            twice += max(0, len(names) - person.asked)
            errors += len(person.errors)
            await victim.stop()
            await victim.start()
    return {
        "front_kills": kills,
        "front_killed_speaking_again_s": round(max(again_s), 2),
        "front_killed_speaking_again_s_p50": round(p50(again_s), 2),
        "messages_lost": lost,
        "answers_twice": twice,
        "front_kill_errors": errors,
    }


async def _kept(port: int, person: Person) -> list[dict[str, Any]]:
    """What is stored: one entry for each text that was said."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        headers = {"Authorization": f"Bearer {person.ready['token']}"}
        answer = await http.get(f"/api/sessions/{person.ready['session']}", headers=headers)
        answer.raise_for_status()
        return list(answer.json()["history"])


async def restart_all(folder: Path, database: str, viewers: int) -> dict[str, Any]:
    """Restart three servers, one after the other, while viewers talk."""
    async with fronts(folder, database, FRONTS) as running:
        people = [Person(f"r{n}", []) for n in range(viewers)]

        def assign() -> None:
            ports = [front.port for front in running if front.server is not None]
            for number, person in enumerate(people):
                person.ports = ports[number % len(ports) :] + ports[: number % len(ports)]

        assign()
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
            "rolling_restart_s": round(restarted_s, 1),
        }


def main() -> None:
    """Measure both and write ``results/fronts.json``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=KILLS)
    arguments.add_argument("--viewers", type=int, default=VIEWERS)
    chosen = arguments.parse_args()
    figures: dict[str, Any] = {}
    with (
        Yardstick() as yardstick,
        tempfile.TemporaryDirectory() as place,
        running_postgres() as postgres,
    ):
        make_pack(Path(place) / "packs" / "oval")
        for measure, count in ((restart_all, chosen.viewers), (kill_one, chosen.kills)):
            yardstick.sample()
            with postgres.database() as url:
                figures |= asyncio.run(measure(Path(place), url, count))
        yardstick.sample()
    write("fronts", figures, _TARGETS, yardstick)


if __name__ == "__main__":
    main()
