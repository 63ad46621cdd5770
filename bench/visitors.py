"""A visitor of several servers, who does what the page does when one of them goes away."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

_RETRY_S, _MOVE_S, _RESTART = 3.0, 1.0, 1012
_LISTENS_S = 1.5


@dataclass
class Person:
    """A viewer that comes back by itself. `ports` are tried in turn, as a proxy does. One who
    `listens` hears each sentence for as long as it lasts; others say at once that they did."""

    name: str
    ports: list[int]
    text: str = "We open at nine."
    listens: bool = False
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
            self._waiting = {"type": "say", "text": self.text, "id": f"{self.name}-{self.asked}"}
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
                    if self.listens:
                        await asyncio.sleep(event["duration"])
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
