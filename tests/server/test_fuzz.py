"""Messages that no page sends, in numbers: the server lives on and its log stays clean."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import string
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from .conftest import Server, ServeWith

TRIES = 400
SECRET = "what-the-visitor-said"
TYPES = (
    "hello", "user.text", "say", "interrupt", "avatar.select", "language.select", "playback",
    "audio.start", "audio.stop", "ping", "nothing", "",
)  # fmt: skip
FIELDS = (
    "type", "text", "id", "idle_frame", "avatar", "language", "segment", "state", "media_ms",
    "drift_ms", "since_text_ms", "mode", "t", "session", "token", "after", "playback",
)  # fmt: skip


class Fuzz:
    """Makes messages that are nearly right, out of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        pick = self._random
        return pick.choice(
            [
                None, True, -1, 0, 2**70, -1e308, float("nan"), float("inf"), "", SECRET, "en",
                SECRET * 30, "\u0000", "\ud83d", "é" * 70, [], {}, "oval", "painted", "stream",
                *([[self.value(depth + 1)], {SECRET: self.value(depth + 1)}] if depth < 3 else []),
            ]
        )  # fmt: skip

    def message(self) -> dict[str, Any]:
        pick = self._random
        message: dict[str, Any] = {"type": pick.choice(TYPES)}
        for _ in range(pick.randrange(5)):
            name = pick.choice([*FIELDS, SECRET, "".join(pick.choices(string.printable, k=9))])
            message[name] = self.value()
        return message

    def text(self) -> str:
        pick = self._random
        whole = json.dumps(self.message(), ensure_ascii=True)
        return pick.choice(
            [
                whole, whole, whole, whole[: pick.randrange(len(whole) + 1)], f"[{whole}]",
                "[" * pick.randrange(3_000), SECRET, '{"type": "say", "text": "' + SECRET,
            ]
        )  # fmt: skip

    def bytes(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200))


async def raw_frame(client: Any, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
    """A frame as it is, right or wrong."""
    frame = Frame(opcode, data, fin).serialize(mask=True, extensions=[])
    client.transport.write(frame)
    await asyncio.sleep(0)


async def say_something(client: Any, fuzz: Fuzz, number: int) -> None:
    """One message or one breach of the protocol below it."""
    if number % 40 == 7:
        await raw_frame(client, Opcode.TEXT, b"\xff\xfe" + SECRET.encode())
    elif number % 40 == 17:
        await raw_frame(client, Opcode.CONT, b"a piece of nothing")
    elif number % 40 == 27:
        await raw_frame(client, Opcode.TEXT, b'{"type":', fin=False)
        await raw_frame(client, Opcode.PING, b"in between")
        await raw_frame(client, Opcode.CONT, b'"ping","t":1}')
    elif number % 40 == 33:
        await raw_frame(client, Opcode.CLOSE, b"\x03")
    elif number % 40 == 37:
        await raw_frame(client, Opcode.CLOSE, b"\x03\xe8")
        await raw_frame(client, Opcode.TEXT, b'{"type": "ping", "t": 1}')
        client.transport.abort()
    elif number % 5 == 0:
        await client.send(fuzz.bytes())
    else:
        await client.send(fuzz.text())


async def a_visit(server: Server, fuzz: Fuzz, numbers: list[int]) -> int:
    """As many messages as the connection takes; how many those were."""
    said = 0
    async with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as client:

        async def read() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await client.recv()

        reading = asyncio.create_task(read())
        with contextlib.suppress(ConnectionClosed):
            if numbers[0] % 3:
                await client.send(json.dumps({"type": "hello"}))
            for number in numbers:
                await say_something(client, fuzz, number)
                said += 1
        client.transport.abort()
        await reading
    return said


async def test_malformed_messages_leave_no_trace_in_the_log_and_a_healthy_server(
    serve: ServeWith, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fuzz = Fuzz(7)
    left = list(range(TRIES))
    limits = {"sessions_per_minute": 10_000, "turns_per_minute": 10_000}
    async with serve(**limits) as server:
        while left:
            said = await a_visit(server, fuzz, left[:25])
            left = left[max(said, 1) :]
        for path in ("/api/sessions", f"/api/sessions/{SECRET}/say", f"/video/{SECRET}.mp4"):
            for _ in range(20):
                headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
                body = fuzz.text().encode()
                answer = await server.http.post(path, content=body, headers=headers)
                assert answer.status_code < 500
                assert answer.status_code < 400 or answer.json()["error"]["message"]
        assert (await server.http.get("/healthz")).status_code == 200
        async with server.socket() as honest:
            await honest.send(type="say", text="Hi.")
            await honest.until("turn.finished")
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "websockets"))]
    lines = [logging.Formatter().format(record) for record in ours]
    assert not [line for line in lines if "Traceback" in line or SECRET in line]
    assert not [record for record in ours if record.levelno >= logging.ERROR]
