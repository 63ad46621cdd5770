"""Attacks on a server, each in a process of its own so that it takes no time from the measuring
one, bounded in connections and in seconds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode

from ditto_avatar.memory import allow_open_files

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b'{"type": "hello"}'
# What a server takes from one address by default, and one more.
_SOCKETS_OF_AN_ADDRESS = 101
_SOCKETS_PER_SECOND = 500
_LONG_TEXT = ("This goes on and on. " * 200)[:3_990]
_OPEN_FILES = 8_000


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: its name in `ATTACKS`, the server's port, how many sockets, from which number of
    address on, and for how many seconds."""

    name: str
    port: int
    sockets: int
    seconds: float
    first_address: int = 0


@asynccontextmanager
async def attackers() -> AsyncIterator[Callable[[Attack], Awaitable[Counter[str]]]]:
    """Yield a function that runs an attack to its end; what it counted."""
    loop = asyncio.get_running_loop()
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawning, initializer=_prepare) as pool:
        # So that no attack begins with the start of its process.
        await asyncio.gather(*(loop.run_in_executor(pool, os.getpid) for _ in range(4)))
        yield lambda attack: loop.run_in_executor(pool, _attack, attack)


def _prepare() -> None:
    # A stranger has a machine of their own: what an attack costs is not to be measured.
    os.nice(15)
    allow_open_files(_OPEN_FILES)


def _attack(attack: Attack) -> Counter[str]:
    return asyncio.run(ATTACKS[attack.name](attack))


def address(number: int) -> str:
    """An address of the loopback that is not the machine's own."""
    return f"127.0.{1 + number // 200}.{2 + number % 200}"


async def _endless(attack: Attack, start: bytes, piece: bytes) -> Counter[str]:
    """Heads that never end, again and again on each socket."""
    counts: Counter[str] = Counter()

    async def once(number: int) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", attack.port, local_addr=(address(number), 0)
        )
        counts["connections"] += 1
        try:
            writer.write(start)
            while not reader.at_eof():
                writer.write(piece * 64)
                await writer.drain()
                counts["kilobytes"] += len(piece) * 64 // 1024
                await asyncio.sleep(0)
        finally:
            writer.transport.abort()

    await _keep_trying(attack, once, counts)
    return counts


async def endless_heads(attack: Attack) -> Counter[str]:
    """Headers that never end."""
    return await _endless(attack, HEAD, b"X-Filler: " + b"a" * 1000 + b"\r\n")


async def endless_urls(attack: Attack) -> Counter[str]:
    """A request line that never ends."""
    return await _endless(attack, b"GET /", b"a" * 1000)


async def unread_answers(attack: Attack) -> Counter[str]:
    """Malformed messages with keys of 200 KB, whose answers are never read."""
    counts: Counter[str] = Counter()
    message = _frame(json.dumps({"type": "ping", "t": 1, "k" * 200_000: 1}).encode())

    async def once(number: int) -> None:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.bind((address(number), 0))
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", attack.port))
        _, writer = await asyncio.open_connection(sock=narrow, limit=1024)
        counts["connections"] += 1
        try:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(UPGRADE + _frame(HELLO))
            while not writer.transport.is_closing():
                writer.write(message)
                await writer.drain()
                counts["messages"] += 1
        finally:
            writer.transport.abort()

    await _keep_trying(attack, once, counts)
    return counts


async def many_sockets(attack: Attack) -> Counter[str]:
    """As many connections as wanted, 500 more each second, from as many addresses as that takes:
    silent ones, half requests, and WebSockets; held open to the end."""
    counts: Counter[str] = Counter()
    says = (b"", HEAD, UPGRADE + _frame(HELLO))

    async def hold(number: int) -> None:
        source = address(attack.first_address + number // _SOCKETS_OF_AN_ADDRESS)
        await asyncio.sleep(number / _SOCKETS_PER_SECOND)
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", attack.port, local_addr=(source, 0)
            )
        except OSError:
            counts["refused"] += 1
            return
        counts["opened"] += 1
        try:
            writer.write(says[number % len(says)])
            while await reader.read(65_536):
                pass
            counts["ended"] += 1
        except ConnectionError:
            counts["ended"] += 1
        finally:
            writer.transport.abort()

    holding = [asyncio.create_task(hold(number)) for number in range(attack.sockets)]
    await asyncio.wait(holding, timeout=attack.seconds)
    counts["held_to_the_end"] = sum(not task.done() for task in holding)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
    return counts


async def fill_the_line(attack: Attack) -> Counter[str]:
    """One address asks for the longest speech in every session it may open, and again as soon as
    one is refused or over. Its sockets watch, so that nothing of it gives way by itself."""
    counts: Counter[str] = Counter()

    async def once(number: int) -> None:
        async with _socket(attack, attack.first_address) as client:
            counts["sessions"] += 1
            try:
                for turn in itertools.count():
                    await client.send(json.dumps({"type": "say", "text": f"{turn} {_LONG_TEXT}"}))
                    counts[await _over(client)] += 1
                    await asyncio.sleep(1)
            finally:
                with contextlib.suppress(WebSocketException, OSError):
                    await client.send('{"type": "interrupt"}')

    await _keep_trying(attack, once, counts)
    return counts


async def flood(attack: Attack) -> Counter[str]:
    """One address sends messages of every kind as fast as they are taken."""
    counts: Counter[str] = Counter()
    messages = itertools.cycle(
        [
            '{"type": "ping", "t": 1}', '{"type": "say"}', "{", '{"type": "interrupt"}',
            '{"type": "language.select", "language": "ko"}', '{"type": "user.text", "text": ""}',
            '{"type": "playback", "segment": "none", "state": "playing", "drift_ms": 60000}',
        ]
    )  # fmt: skip

    async def once(number: int) -> None:
        async with _socket(attack, attack.first_address) as client:

            async def read() -> None:
                async for _ in client:
                    counts["answers"] += 1

            reading = asyncio.create_task(read())
            try:
                while True:
                    await client.send(next(messages))
                    counts["messages"] += 1
                    await asyncio.sleep(0.001)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    await _keep_trying(attack, once, counts)
    return counts


ATTACKS: dict[str, Callable[[Attack], Coroutine[Any, Any, Counter[str]]]] = {
    "endless_heads": endless_heads,
    "endless_urls": endless_urls,
    "unread_answers": unread_answers,
    "many_sockets": many_sockets,
    "fill_the_line": fill_the_line,
    "flood": flood,
}


async def _keep_trying(
    attack: Attack, once: Callable[[int], Awaitable[None]], counts: Counter[str]
) -> None:
    """Do it on each socket until the time is over, again whenever the server ends it."""

    async def on_one(number: int) -> None:
        while True:
            try:
                await once(attack.first_address + number)
            except (OSError, WebSocketException, asyncio.IncompleteReadError):
                counts["ended"] += 1
            await asyncio.sleep(0.1)  # a new connection costs a stranger something, too

    tasks = [asyncio.create_task(on_one(number)) for number in range(attack.sockets)]
    await asyncio.wait(tasks, timeout=attack.seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _socket(attack: Attack, number: int) -> AsyncIterator[ClientConnection]:
    """A connection that has said hello."""
    uri = f"ws://127.0.0.1:{attack.port}/ws"
    async with connect(uri, max_size=None, local_addr=(address(number), 0)) as client:
        await client.send(HELLO.decode())
        yield client


async def _over(client: ClientConnection) -> str:
    """Read until the turn is over; how it ended."""
    while True:
        frame = await client.recv()
        if isinstance(frame, str):
            message: dict[str, Any] = json.loads(frame)
            if message["type"] == "error":
                return f"refused_{message['code']}"
            if message["type"] in ("turn.finished", "turn.interrupted"):
                return str(message["type"]).partition(".")[2]


def _frame(text: bytes) -> bytes:
    return Frame(Opcode.TEXT, text, True).serialize(mask=True, extensions=[])
