"""Hand requests on to the server that holds their session."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ditto_avatar.errors import SessionMoved
from ditto_avatar.server import peers
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.session.ownership import Owner

_SESSION = re.compile(r"/api/sessions/([^/]{1,64})(?:/|$)")
_SENT_ON = ("host", "authorization", "content-type", "accept", "origin", "range")
# What the visitor's own server adds to every answer is left to it.
_BROUGHT_BACK = (
    b"content-type", b"content-length", b"content-disposition", b"cache-control", b"retry-after",
    b"location",
)  # fmt: skip
# A command waits for what is being stored; an export begins at once.
_ANSWER_S = 60.0
_READ_BYTES = 64 * 1024


class Forwarding:
    """Answer requests of sessions that another server holds by its answers. Stands inside the limit
    for bodies."""

    def __init__(self, app: ASGIApp, *, parts: ServerParts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = await self._owner(scope)
        if owner is None:
            await self._app(scope, receive, send)
            return
        messages = await _whole(receive)
        try:
            connection = await peers.connected_to(owner)
        except OSError:
            self._parts.services.ownership.presume_dead(owner)
        else:
            self._parts.metrics.sessions_moved.labels("forwarded").inc()
            async with _streams(connection) as (reader, writer):
                body = b"".join(message.get("body", b"") for message in messages)
                await _Exchange(reader, writer).run(_request(scope, body), body, send)
            return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)

    async def _owner(self, scope: Scope) -> Owner | None:
        """Which other server answers a request; None for one of this server's own."""
        parts, ownership = self._parts, self._parts.services.ownership
        if not ownership.shared or scope["type"] != "http" or peers.is_forwarded(scope):
            return None
        named = _SESSION.match(scope["path"])
        if named is None or parts.registry.holds(named[1]):
            return None
        return await ownership.owner_of(named[1])


class _Exchange:
    """One request to another server, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def run(self, request: h11.Request, body: bytes, send: Send) -> None:
        """Ask, and send the answer on. Raises `SessionMoved` if the other server is lost before it
        answers: whether it did what it was asked for is not known."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._ask(request, body)
                answer = await self._next()
        except (OSError, h11.RemoteProtocolError) as error:
            raise SessionMoved("The server of the conversation is gone.") from error
        assert isinstance(answer, h11.Response)
        headers = [(name, value) for name, value in answer.headers if name in _BROUGHT_BACK]
        await send(
            {"type": "http.response.start", "status": answer.status_code, "headers": headers}
        )
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                data = bytes(event.data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ask(self, request: h11.Request, body: bytes) -> None:
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def _next(self) -> h11.Event:
        """The next part of the answer."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("the other server hung up")
            elif isinstance(event, h11.Event) and not isinstance(event, h11.InformationalResponse):
                return event


def _request(scope: Scope, body: bytes) -> h11.Request:
    headers = Headers(scope=scope)
    sent: list[tuple[str, str]] = [(n, headers[n]) for n in _SENT_ON if n in headers]
    sent += peers.forwarding_headers(scope).items()
    sent += [("content-length", str(len(body))), ("connection", "close")]
    query = scope.get("query_string", b"")
    target = scope["raw_path"] + (b"?" + query if query else b"")
    return h11.Request(method=scope["method"], target=target, headers=sent)


async def _whole(receive: Receive) -> list[Message]:
    messages: list[Message] = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


@asynccontextmanager
async def _streams(
    connection: socket.socket,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        yield reader, writer
    finally:
        writer.close()
