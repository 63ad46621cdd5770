"""Answer `GET /metrics`, `/healthz` and `/readyz` of a process that serves no page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h11

Respond = Callable[[str], tuple[int, str, bytes] | None]
"""Takes a path; returns a status, a content type and a body, or None for an unknown path."""

# A probe asks in milliseconds, and a handful of them ask at once.
_LONGEST_S = 5.0
_MOST_AT_ONCE = 32
_BLOCK_BYTES = 4_096


@asynccontextmanager
async def serving_status(host: str, port: int, respond: Respond) -> AsyncIterator[int]:
    """Serve for as long as the block lasts; yields the port. Raises `OSError` when it is taken.
    Cancelling is safe: nothing listens any more."""
    taken = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        try:
            if taken <= _MOST_AT_ONCE:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_LONGEST_S):
                        await _answer(reader, writer, respond)
        finally:
            taken -= 1
            writer.close()

    # A wait in it would lose the listening socket when it is cancelled.
    server = await asyncio.start_server(answer, host, port, start_serving=False)
    try:
        await server.start_serving()
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond
) -> None:
    """Answer one request; the connection ends with it."""
    connection = h11.Connection(h11.SERVER)
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(_BLOCK_BYTES))
        if not isinstance(event, h11.Request):
            return
        if event.method not in (b"GET", b"HEAD"):
            found: tuple[int, str, bytes] = (405, "text/plain", b"only GET\n")
        else:
            path = event.target.decode("ascii").partition("?")[0]
            found = respond(path) or (404, "text/plain", b"not here\n")
        content = found[2] if event.method != b"HEAD" else b""
        writer.write(_head(connection, found))
        if content:
            writer.write(connection.send(h11.Data(data=content)) or b"")
    except h11.RemoteProtocolError as error:
        if connection.our_state is h11.SEND_RESPONSE or connection.our_state is h11.IDLE:
            writer.write(_head(connection, (error.error_status_hint, "text/plain", b"")))
    await writer.drain()


def _head(connection: h11.Connection, found: tuple[int, str, bytes]) -> bytes:
    status, content_type, body = found
    headers = [
        ("content-type", content_type),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    return connection.send(h11.Response(status_code=status, headers=headers)) or b""
