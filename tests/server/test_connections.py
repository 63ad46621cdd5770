"""Connections of a real server, with a peer that does what no browser does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.server.connections import MAX_HEAD_BYTES
from tests.deadlines import TEST_DEADLINE_S

from .conftest import Server, ServeWith

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def raw(
    server: Server, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side ends."""
    received = b""
    async with asyncio.timeout(TEST_DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                received += data
    return received


async def flood(writer: asyncio.StreamWriter, piece: bytes, most: int) -> int:
    """Send `piece` again and again until the other side ends; how many bytes left."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most and not writer.is_closing():
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), TEST_DEADLINE_S)
            sent += len(piece)
            await asyncio.sleep(0)
    return sent


async def metric(server: Server, name: str) -> float:
    """The value of a metric; 0 for one that was never counted."""
    lines = (await server.http.get("/metrics")).text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(f"{name} "))


async def ended(server: Server, reason: str) -> float:
    """How many connections were ended for that reason."""
    return await metric(server, f'ditto_connections_ended_total{{reason="{reason}"}}')


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A WebSocket frame of a client, with a mask of zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


async def test_an_endless_head_is_cut_off(server: Server) -> None:
    endless = ((HEAD, b"X-Filler: " + b"a" * 1000 + b"\r\n"), (b"GET /", b"a" * 1000))
    for start, piece in endless:
        async with raw(server) as (reader, writer):
            writer.write(start)
            answer = asyncio.create_task(everything(reader))
            sent = await flood(writer, piece, 20_000_000)
            assert (await answer)[:12] in (b"HTTP/1.1 400", b"")
        # What the network held when the server stopped reading is beyond its limit.
        assert sent < 10_000_000
    assert await ended(server, "invalid") == 2
    assert MAX_HEAD_BYTES <= 64 * 1024


async def test_a_head_over_the_limit_is_refused_in_the_form_of_all_errors(server: Server) -> None:
    async with raw(server) as (reader, writer):
        writer.write(HEAD + b"X-Filler: " + b"a" * 40_000)
        head, _, body = (await everything(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error"]["code"] == "invalid_request"


async def test_a_connection_without_a_whole_request_is_closed(serve: ServeWith) -> None:
    async def answer_to(said: bytes) -> bytes:
        async with raw(server) as (reader, writer):
            writer.write(said)
            return await everything(reader)

    async with serve(request_s=0.5) as server:
        assert await asyncio.gather(*map(answer_to, (b"", HEAD, b"G"))) == [b"", b"", b""]
        assert await ended(server, "no_request") == 3


async def test_a_second_request_that_is_never_finished_is_closed(serve: ServeWith) -> None:
    async with serve(request_s=0.5) as server, raw(server) as (reader, writer):
        writer.write(HEAD + b"\r\n" + HEAD)
        answer = await everything(reader)
        assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_body_that_never_ends_is_refused_in_time(serve: ServeWith) -> None:
    async with serve(request_s=0.5) as server, raw(server) as (reader, writer):
        writer.write(
            b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        head, _, body = (await everything(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408")
        assert json.loads(body)["error"]["code"] == "too_slow"


async def test_a_body_that_was_refused_is_not_read_for_ever(serve: ServeWith) -> None:
    async with serve(request_s=0.5) as server, raw(server) as (reader, writer):
        writer.write(
            b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        )
        answer = asyncio.create_task(everything(reader))
        while not answer.done():
            with contextlib.suppress(ConnectionError):
                writer.write(b"a" * 100)
                await writer.drain()
            await asyncio.wait([answer], timeout=0.05)
        assert answer.result().startswith(b"HTTP/1.1 413")


async def test_one_address_cannot_take_every_connection(serve: ServeWith) -> None:
    async with serve(max_connections_per_address=5) as server, AsyncExitStack() as stack:
        await server.http.aclose()
        opened = [await stack.enter_async_context(raw(server)) for _ in range(5)]
        async with raw(server) as (refused, _):
            assert await everything(refused) == b""
        async with raw(server, "127.0.0.2") as (reader, writer):
            writer.write(HEAD + b"Connection: close\r\n\r\n")
            assert (await everything(reader)).startswith(b"HTTP/1.1 200")
        # A place that is given back can be taken again.
        _, writer = opened[0]
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        assert (await everything(opened[0][0])).startswith(b"HTTP/1.1 200")
        async with raw(server) as (reader, writer):
            writer.write(HEAD + b"Connection: close\r\n\r\n")
            assert (await everything(reader)).startswith(b"HTTP/1.1 200")


async def test_connections_have_a_limit_in_all(serve: ServeWith) -> None:
    async with serve(max_connections=3) as server, AsyncExitStack() as stack:
        await server.http.aclose()
        for place in (2, 3, 4):
            await stack.enter_async_context(raw(server, f"127.0.0.{place}"))
        async with raw(server, "127.0.0.9") as (refused, _):
            assert await everything(refused) == b""


async def test_a_few_addresses_cannot_take_every_connection(serve: ServeWith) -> None:
    async with serve(max_connections=4) as server, AsyncExitStack() as stack:
        await server.http.aclose()
        many = [await stack.enter_async_context(raw(server, "127.0.0.2")) for _ in range(4)]
        few = [await stack.enter_async_context(raw(server, "127.0.0.9")) for _ in range(2)]
        # An address that has fewer takes the place of the one that has the most, its newest first.
        assert [await everything(reader) for reader, _ in reversed(many[2:])] == [b"", b""]
        async with raw(server, "127.0.0.9") as (refused, _):
            assert await everything(refused) == b""
        for reader, writer in many[:2] + few:
            writer.write(HEAD + b"Connection: close\r\n\r\n")
            assert (await everything(reader)).startswith(b"HTTP/1.1 200")


async def test_who_has_not_asked_for_anything_makes_room_first(serve: ServeWith) -> None:
    async with serve(max_connections=3) as server, AsyncExitStack() as stack:
        await server.http.aclose()
        silent, _ = await stack.enter_async_context(raw(server, "127.0.0.2"))
        watching = [await stack.enter_async_context(raw(server, "127.0.0.2")) for _ in range(2)]
        for reader, writer in watching:
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
        _, writer = await stack.enter_async_context(raw(server, "127.0.0.9"))
        assert await everything(silent) == b""
        for reader, writer in watching:
            writer.write(frame(1, b'{"type": "hello"}'))
            await reader.readuntil(b"session.ready")


async def test_a_websocket_keeps_its_place_and_gives_it_back(serve: ServeWith) -> None:
    async with serve(max_connections_per_address=2) as server:
        await server.http.aclose()
        for _ in range(4):
            async with server.socket() as one, server.socket() as two:
                await asyncio.gather(one.next(), two.next())
                with pytest.raises((OSError, InvalidMessage, ConnectionClosed)):
                    async with server.socket() as three:
                        await three.next()
            await _all_gone(server)


async def _all_gone(server: Server) -> None:
    """Return when the server has seen that its connections were closed."""
    async with asyncio.timeout(TEST_DEADLINE_S):
        while True:
            async with raw(server) as (one, first), raw(server) as (two, second):
                for writer in (first, second):
                    writer.write(HEAD + b"Connection: close\r\n\r\n")
                answers = await asyncio.gather(everything(one), everything(two))
                if all(answer.startswith(b"HTTP/1.1 200") for answer in answers):
                    return


async def test_an_answer_that_nobody_reads_ends_its_connection(
    serve: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files that are larger than what the network holds.
    monkeypatch.setattr("ditto_avatar.assembly.BUNDLED", BUNDLED)
    async with serve(unread_s=0.5, avatar="mina") as server, raw(server) as (_, writer):
        # This side does not read: what it is sent stays in the network.
        request = b"GET /avatars/mina/idle.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(request * 40)
        async with asyncio.timeout(TEST_DEADLINE_S):
            # Nothing comes to this side that could be waited for.
            while not await ended(server, "unread"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_text_that_is_not_utf_8_closes_its_own_connection_only(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with server.socket() as honest:
        await honest.next()
        async with raw(server) as (reader, writer):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(1, b"\xff\xfe\xfd"))
            answer = await everything(reader)
            assert answer[:4] == b"\x88" + answer[1:2] + struct.pack("!H", 1007)
        await honest.send(type="ping", t=1)
        await honest.until("pong")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_flood_of_the_smallest_frames_is_ended(own_server: Server) -> None:
    server = own_server
    floods = {"pings": (9, b""), "pieces": (0, frame(1, b"", fin=False)), "texts": (1, b"")}
    for number, (opcode, first) in enumerate(floods.values(), 1):
        async with raw(server) as (reader, writer):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(1, b'{"type": "hello"}') + first)
            answer = asyncio.create_task(everything(reader))
            await flood(writer, frame(opcode, b"", fin=opcode != 0) * 500, 30_000_000)
            await answer
        assert await ended(server, "invalid") == number


async def test_messages_come_no_faster_than_the_pace(serve: ServeWith) -> None:
    async with serve(messages_per_second=20) as server, server.socket() as client:
        await client.next()
        began = asyncio.get_running_loop().time()
        for number in range(140):
            await client.send(type="ping", t=number)
        for _ in range(140):
            await client.until("pong")
        # A hundred at once and forty at the pace.
        assert asyncio.get_running_loop().time() - began > 1.5


async def test_one_session_has_a_limit_of_viewers(serve: ServeWith) -> None:
    async with serve(max_viewers=2) as server, server.socket() as one:
        ready = await one.next()
        known = {"session": ready["session"], "token": ready["token"]}
        async with server.socket(**known) as two:
            await two.next()
            async with server.socket(**known) as three:
                assert (await three.next())["code"] == "busy"
                with pytest.raises(ConnectionClosed):
                    await three.next()
        async with asyncio.timeout(TEST_DEADLINE_S):
            while True:
                async with server.socket(**known) as again:
                    if (await again.next())["type"] == "session.ready":
                        break


async def test_malformed_messages_that_nobody_reads_the_answers_of_take_no_memory(
    serve: ServeWith,
) -> None:
    key = "k" * 200_000
    message = json.dumps({"type": "ping", "t": 1, key: 1})
    before = _resident_bytes()
    async with serve(messages_per_second=1_000_000) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as client:
            await client.send('{"type": "hello"}')
            client.transport.pause_reading()
            sent = 0
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                while sent < 1500:
                    await asyncio.wait_for(client.send(message), TEST_DEADLINE_S)
                    sent += 1
            client.transport.abort()
        async with server.socket() as honest:
            await honest.next()
    assert sent > 100
    assert _resident_bytes() - before < 100 * 1024 * 1024


async def test_a_viewer_that_leaves_too_much_unread_is_let_go_while_it_is_written_to(
    serve: ServeWith,
) -> None:
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    long = {"type": "say", "text": "This is said, and told again. " * 100, "id": "c1"}
    async with serve(messages_per_second=1_000_000, unread_s=600) as server:
        small.connect(("127.0.0.1", server.port))
        async with connect(f"ws://127.0.0.1:{server.port}/ws", sock=small, max_queue=1) as client:
            for message in ({"type": "hello"}, long, {"type": "interrupt"}):
                await client.send(json.dumps(message))
            # A known id is told how it stands, with its whole text: two events for each. The
            # network holds 4 MB of them.
            with contextlib.suppress(ConnectionClosed):
                for _ in range(4):
                    for _ in range(800):
                        await client.send(json.dumps({**long, "text": "x"}))
                    await asyncio.sleep(1)  # more in a second would be a flood of frames
            async with asyncio.timeout(TEST_DEADLINE_S):
                # This side reads nothing, so there is nothing to wait for.
                while await metric(server, "ditto_viewers"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert not await ended(server, "unread")
            client.transport.abort()


async def test_an_echoed_name_is_cut(server: Server) -> None:
    async with server.socket() as client:
        await client.next()
        for text in (
            json.dumps({"type": "ping", "t": 1, "k" * 100_000: 1}),
            json.dumps({"type": "t" * 100_000}),
        ):
            await client.raw.send(text)
            error = await client.next()
            assert len(json.dumps(error)) < 600
    name = "n" * 20_000
    answer = await server.http.get(f"/avatars/{name}/idle.mp4")
    assert answer.status_code == 404
    assert len(answer.content) < 1_500


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_an_error_names_the_message_that_it_answers(server: Server) -> None:
    async with server.socket() as client:
        await client.next()
        for message in (
            {"type": "user.text", "text": "", "id": "q1"},
            {"type": "user.text", "txt": "Hi", "id": "q2"},
            {"type": "user.text", "text": "half an emoji \ud83d", "id": "q3"},
            {"type": "ping", "t": "soon"},
        ):
            await client.send(**message)
        await client.raw.send("[" * 100_000)
        errors = [await client.until("error") for _ in range(5)]
    assert [error["id"] for error in errors] == ["q1", "q2", "q3", None, None]


async def test_a_ping_with_what_is_no_number_is_refused(server: Server) -> None:
    async with server.socket() as client:
        await client.next()
        for number in ("NaN", "Infinity", "1e999"):
            await client.raw.send(f'{{"type": "ping", "t": {number}}}')
            assert (await client.next())["code"] == "invalid_input"


async def test_every_rest_error_is_counted_once(own_server: Server) -> None:
    server = own_server
    requests = {
        "not_found": server.http.get("/api/sessions/none", headers={"Authorization": "Bearer x"}),
        "unauthorized": server.http.get("/api/sessions/none"),
        "invalid_input": server.http.post("/api/sessions", json={"avatar": 5}),
        "too_large": server.http.post("/api/sessions", content=bytes(500_000)),
        "http_error": server.http.put("/healthz"),
        "misdirected": server.http.get("/healthz", headers={"Host": "evil.example"}),
        "forbidden": server.http.post("/api/sessions", headers={"Origin": "http://evil.example"}),
    }
    for code, request in requests.items():
        answer = await request
        assert answer.json()["error"]["code"] == code
        assert await metric(server, f'ditto_errors_total{{code="{code}"}}') == 1


async def test_errors_of_ranges_are_json_like_all_others(server: Server) -> None:
    url = "/avatars/oval/idle.mp4"
    size = len((await server.http.get(url)).content)
    for wanted, status in (("bytes=a-b", 400), ("bytes=9-1", 400), (f"bytes={size}-", 416)):
        answer = await server.http.get(url, headers={"Range": wanted})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "http_error")
    assert answer.headers["content-range"].endswith(f"*/{size}")


async def test_every_answer_carries_the_security_headers(server: Server) -> None:
    files = ("/", "/healthz", "/static/main.js", "/avatars/oval/idle.mp4", "/nothing")
    asked = [*(("GET", path) for path in files), ("POST", "/api/sessions"), ("PUT", "/healthz")]
    for method, path in asked:
        headers = (await server.http.request(method, path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "connect-src 'self';" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["permissions-policy"].startswith("camera=(self), microphone=(self)")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
