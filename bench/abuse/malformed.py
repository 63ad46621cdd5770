"""Messages that no page sends, in numbers, over WebSocket and REST and below both."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.abuse.attacks import address
from bench.serving import Serving, serving
from tests.fakes.fuzz import SECRET, Fuzz, say_something

SOCKETS = 8
_ON_ONE_SOCKET = 40
_REST_SHARE, _RAW_SHARE = 0.2, 0.05
_RAW_SOCKETS, _RAW_ANSWER_S = 20, 1.0
# A bug shows as one of these; `busy` and `storage_full` are answers that were meant.
_OWN_MISTAKES = ("internal", "error", "invalid_checkpoint")
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
_PATHS = (
    "/api/sessions", "/api/sessions/{}", "/api/sessions/{}/say", "/api/sessions/{}/messages",
    "/api/sessions/{}/interrupt", "/api/sessions/{}/turns/{}", "/api/avatars", "/api/voices",
    "/video/{}.mp4", "/audio/{}.wav", "/avatars/{}/idle.mp4", "/avatars/mina/idle.mp4",
    "/static/{}", "/ws", "/{}", "/healthz", "/docs", "/openapi.json",
)  # fmt: skip
_NAMES = (SECRET, "..%2f..%2fetc%2fpasswd", "%00", "%ff%fe", "a" * 3_000, "%F0%9F%98%80", "-", "")
_RANGES = (
    "bytes=0-",
    "bytes=-1",
    "bytes=9-1",
    "bytes=" + "0-1," * 500,
    "lines=1",
    f"bytes={2**70}-",
)
_RAW = (
    b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 70_000,
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA" + b"a" * 40_000 + b": b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n no: fold\r\n\r\n",
    b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffff\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 99\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: \xff\r\n\r\n",
)  # fmt: skip


async def send_all(count: int, log: Path) -> dict[str, Any]:
    """Send that many malformed messages; the figures."""
    counts: Counter[str] = Counter()
    # Every connection of the flood opens a session of its own, far more than 30 in a minute.
    async with serving(log, DITTO_LOG_LEVEL="info") as server:
        rest, raw = int(count * _REST_SHARE), int(count * _RAW_SHARE)
        websocket = count - rest - raw
        each = -(-websocket // SOCKETS)
        await asyncio.gather(
            *(_over_websocket(server, place, each, counts) for place in range(SOCKETS)),
            _over_rest(server, rest, counts),
            _below_http(server, raw, counts),
        )
        async with server.viewer() as honest:
            await honest.send(type="say", text="Hi.")
            await honest.until("turn.finished")
        alive = not server.ended
    return {
        "malformed_messages": counts["websocket"] + counts["rest"] + counts["raw"],
        "server_errors": counts["server_errors"],
        "alive_after_malformed": alive,
        "malformed_over_websocket": counts["websocket"],
        "malformed_over_rest": counts["rest"],
        "malformed_below_http": counts["raw"],
        "answers_busy": counts["busy"],
    }


async def _over_websocket(server: Serving, place: int, count: int, counts: Counter[str]) -> None:
    """Breach after breach, each connection for as long as it is taken."""
    fuzz = Fuzz(place)
    number = 0
    while number < count and not server.ended:
        uri = f"ws://127.0.0.1:{server.port}/ws"
        try:
            async with connect(uri, max_size=None, local_addr=(address(place), 0)) as client:
                number += await _a_visit(client, fuzz, number, counts)
        except (OSError, WebSocketException):
            await asyncio.sleep(0.05)


async def _a_visit(client: ClientConnection, fuzz: Fuzz, first: int, counts: Counter[str]) -> int:
    """Send until the server closes, at most 40; how many."""
    said = 0
    reading = asyncio.create_task(_count_answers(client, counts))
    with contextlib.suppress(ConnectionClosed):
        if first % 3:
            await client.send('{"type": "hello"}')
        for number in range(first, first + _ON_ONE_SOCKET):
            await say_something(client, fuzz, number)
            said += 1
            counts["websocket"] += 1
    client.transport.abort()
    await reading
    return max(1, said)


async def _count_answers(client: ClientConnection, counts: Counter[str]) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for frame in client:
            if isinstance(frame, str) and frame.startswith('{"type":"error"'):
                code = json.loads(frame)["code"]
                counts["server_errors"] += code in _OWN_MISTAKES
                counts["busy"] += code == "busy"
    counts["server_errors"] += client.close_code == 1011


async def _over_rest(server: Serving, count: int, counts: Counter[str]) -> None:
    fuzz = Fuzz(99)
    transport = httpx.AsyncHTTPTransport(local_address=address(50))
    async with httpx.AsyncClient(base_url=server.url, transport=transport, timeout=30) as http:
        opened = (await http.post("/api/sessions", json={})).json()
        for number in range(count):
            known = number % 2
            name = opened["session"] if known else _NAMES[number % len(_NAMES)]
            token = opened["token"] if known else SECRET
            path = _PATHS[number // 2 % len(_PATHS)].replace("{}", name)
            headers = {
                "Authorization": f"Bearer {token}",
                "Content-Type": ("application/json", "text/plain", SECRET)[number % 3],
                "Range": _RANGES[number % len(_RANGES)],
            }
            # The session has to live for the next ones.
            methods = [m for m in _METHODS if m != "DELETE"] if known else _METHODS
            method = "POST" if number % 3 else methods[number % len(methods)]
            body = fuzz.text().encode() if number % 5 else fuzz.bytes()
            try:
                answer = await http.request(method, path, content=body, headers=headers)
            except httpx.HTTPError:
                counts["closed"] += 1
            else:
                _count_status(answer.status_code, counts)
            counts["rest"] += 1


async def _below_http(server: Serving, count: int, counts: Counter[str]) -> None:
    """Bytes that are no HTTP, or nearly; half of them the server waits for more of."""

    async def some(place: int) -> None:
        for number in range(place, count, _RAW_SOCKETS):
            with contextlib.suppress(OSError, TimeoutError):
                await _once(server, address(60 + place), _RAW[number % len(_RAW)], counts)
            counts["raw"] += 1

    await asyncio.gather(*(some(place) for place in range(_RAW_SOCKETS)))


async def _once(server: Serving, source: str, said: bytes, counts: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    try:
        writer.write(said)
        async with asyncio.timeout(_RAW_ANSWER_S):
            head = await reader.read(16)
        if head.startswith(b"HTTP/1.1 "):
            _count_status(int(head[9:12]), counts)
    finally:
        writer.transport.abort()


def _count_status(status: int, counts: Counter[str]) -> None:
    counts["busy"] += status == 503
    counts["server_errors"] += status >= 500 and status != 503
