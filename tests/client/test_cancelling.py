"""The Python client, cancelled at every place where it waits, leaves no line and no turn behind.
The server is a double that speaks the protocol over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ditto_avatar.client import AvatarConnection, Event, connect, save_segments
from tests.cancelling import cancelled_everywhere
from tests.deadlines import TEST_DEADLINE_S

ANSWER: list[dict[str, Any] | bytes] = [
    {"type": "turn.started", "turn": "t1", "generation": 1, "kind": "say", "text": "Hi."},
    {"type": "segment.data", "segment": "s1", "index": 0, "bytes": 5, "last": False},
    b"first",
    {"type": "segment.data", "segment": "s1", "index": 1, "bytes": 6, "last": True},
    b"second",
    {"type": "turn.finished", "turn": "t1", "text": "Hi.", "timings": {}},
]


@dataclass
class Double:
    """Answers every text with `ANSWER`, and keeps what it was asked."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    lines: set[ServerConnection] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, line: ServerConnection) -> None:
        self.lines.add(line)
        try:
            async for frame in line:
                message = json.loads(frame)
                self.asked.append(message["type"])
                if message["type"] == "hello":
                    await line.send(json.dumps({"type": "session.ready", "session": "x"}))
                elif message["type"] in ("say", "user.text"):
                    await self._answer(line, message["id"])
        except ConnectionClosed:
            pass  # a client that was cancelled
        finally:
            self.lines.discard(line)

    async def _answer(self, line: ServerConnection, own_id: str) -> None:
        for part in ANSWER:
            text = part if isinstance(part, bytes) else json.dumps({**part, "id": own_id})
            await line.send(text)
            # One at a time, so that the client waits for each.
            await (await line.ping())

    async def without_lines(self) -> None:
        """Returns once every line has ended; a client that keeps one fails here."""
        async with asyncio.timeout(TEST_DEADLINE_S):
            for line in list(self.lines):
                await line.wait_closed()


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    double = Double()
    async with serve(double.handle, "127.0.0.1", 0) as server:
        double.port = server.sockets[0].getsockname()[1]
        yield double


async def test_a_cancelled_conversation_leaves_no_line_open(double: Double) -> None:
    async def talk() -> None:
        async with connect(double.address) as avatar:
            async for _ in avatar.say("Hi."):
                pass
            await avatar.interrupt()
            await avatar.select_avatar("mina")
            await avatar.select_language("ko")

    cancelled = 0
    async for _ in cancelled_everywhere(talk):
        cancelled += 1
        await double.without_lines()
    assert cancelled > 6
    assert double.asked[-4:] == ["say", "interrupt", "avatar.select", "language.select"]


async def test_after_a_cancelled_answer_the_next_one_is_whole(double: Double) -> None:
    async with connect(double.address) as avatar:

        async def hear() -> list[str]:
            answer = [message async for message in avatar.say("Hi.")]
            assert [m.type for m in answer if isinstance(m, Event)][-1] == "turn.finished"
            return []

        async for _ in cancelled_everywhere(hear):
            await _whole(avatar)
    await double.without_lines()


async def _whole(avatar: AvatarConnection) -> None:
    answer = [message async for message in avatar.ask("And?")]
    kinds = [message.type for message in answer if isinstance(message, Event)]
    assert (kinds[0], kinds[-1]) == ("turn.started", "turn.finished")


async def test_cancelled_saving_keeps_what_has_come(double: Double, tmp_path: Path) -> None:
    folder = tmp_path / "films"

    async def save() -> list[Path]:
        async with connect(double.address) as avatar:
            assert await save_segments(avatar.say("Hi."), folder) == [folder / "000.mp4"]
        return []

    async for _ in cancelled_everywhere(save):
        kept = [path.read_bytes() for path in folder.glob("*")]
        assert all(b"firstsecond".startswith(data) for data in kept), kept
        await double.without_lines()
    assert (folder / "000.mp4").read_bytes() == b"firstsecond"
