"""Speak docs/protocol.md over a WebSocket, one answer at a time."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from ditto_avatar.client.messages import ConnectionEnded, Event, Fragment, ServerError

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_ENDS = ("turn.finished", "turn.interrupted")


@asynccontextmanager
async def connect(
    server: str,
    *,
    join: str | None = None,
    avatar: str | None = None,
    language: str | None = None,
    within_s: float = 60,
) -> AsyncIterator[AvatarConnection]:
    """Open a session at `server` (``https://example.org``) for the block.

    `join` is a join token or a key, where the server asks for one. Every wait for the server ends
    after `within_s` seconds. Raises `ServerError` when the server refuses, `ConnectionEnded` when
    it is silent or hangs up, `OSError` when it cannot be reached. Cancelling is safe.
    """
    hello = {"join": join, "avatar": avatar, "language": language, "playback": "stream"}
    async with open_socket(_address(server), max_size=None, open_timeout=within_s) as socket:
        connection = AvatarConnection(socket, within_s)
        await connection.send("hello", **{k: v for k, v in hello.items() if v is not None})
        await connection.begin()
        yield connection


class AvatarConnection:
    """Hold a conversation. Made by `connect`; belongs to one task, but `interrupt` may be called
    from any task of the same event loop."""

    def __init__(self, socket: ClientConnection, within_s: float) -> None:
        self._socket = socket
        self._within_s = within_s
        self._answering = False
        self._header: dict[str, Any] | None = None
        self.ready = Event("", {})
        """The server's `session.ready`: session, token, avatar, language, history."""

    async def begin(self) -> None:
        """Wait for the session. Raises as `connect` does."""
        while self.ready.type != "session.ready":
            self.ready = await self._next_event()

    def ask(self, text: str) -> AsyncIterator[Event | Fragment]:
        """Ask something: iterate over the events of the answer and its fragments, the last event
        is `turn.finished` or `turn.interrupted`. Raises as `connect` does, and `RuntimeError`
        while another answer is read. Leaving the iteration early interrupts the answer once the
        iterator is closed. Cancelling is safe."""
        return self._turn("user.text", text)

    def say(self, text: str) -> AsyncIterator[Event | Fragment]:
        """Let the presenter say `text` as it is. Iterate and raises as `ask`."""
        return self._turn("say", text)

    async def interrupt(self) -> None:
        """Stop the answer in progress. Cancelling is safe."""
        await self.send("interrupt")

    async def select_avatar(self, name: str) -> None:
        """Show another presenter from the next answer on. Cancelling is safe."""
        await self.send("avatar.select", avatar=name)

    async def select_voices(self, *voices: str) -> None:
        """Choose voices by their ids, one for each language; without any, the presenter's."""
        await self.send("voice.select", voices=list(voices))

    async def select_language(self, language: str) -> None:
        """Speak another language, "en" or "ko". Cancelling is safe."""
        await self.send("language.select", language=language)

    async def send(self, type_: str, **fields: Any) -> None:
        """Send a message of docs/protocol-messages.md. Raises `ConnectionEnded`."""
        try:
            await self._socket.send(json.dumps({"type": type_, **fields}))
        except ConnectionClosed as error:
            raise _ended(error) from None

    async def _turn(self, type_: str, text: str) -> AsyncIterator[Event | Fragment]:
        if self._answering:
            raise RuntimeError("The connection reads another answer; one at a time.")
        self._answering = True
        over = False
        own_id, turn = uuid.uuid4().hex, None
        try:
            await self.send(type_, id=own_id, text=text)
            while not over:
                message = await self._next()
                if isinstance(message, Event):
                    # What is left of an answer that was given up comes first.
                    if turn is None and message.type == "turn.started":
                        turn = message["turn"] if message.fields.get("id") == own_id else None
                    over = message.type in _ENDS and message["turn"] == turn
                    self._check(message, own_id)
                if turn is not None:
                    yield message
        finally:
            self._answering = False
            if turn is not None and not over:
                await self._give_up()

    async def _give_up(self) -> None:
        try:
            await self.interrupt()
        except ConnectionEnded:
            return

    def _check(self, message: Event, own_id: str) -> None:
        if message.type == "error" and message.fields.get("id") in (None, own_id):
            raise ServerError(message["code"], message["message"])

    async def _next_event(self) -> Event:
        message = await self._next()
        if isinstance(message, Fragment):
            return Event("", {})
        self._check(message, "")
        return message

    async def _next(self) -> Event | Fragment:
        if self._header is None:
            fields = json.loads(await self._receive())
            if fields["type"] != "segment.data":
                return Event(fields["type"], fields)
            self._header = fields
        # Kept until its bytes are here: who is cancelled in between leaves them to the next.
        header = self._header
        data = await self._receive() if header["bytes"] else b""
        self._header = None
        if isinstance(data, str):
            raise ConnectionEnded(None, "Expected the bytes of a fragment, came a text.")
        return Fragment(header["segment"], header["index"], data, header["last"])

    async def _receive(self) -> str | bytes:
        try:
            async with asyncio.timeout(self._within_s):
                return await self._socket.recv()
        except TimeoutError:
            raise ConnectionEnded(
                None, f"The server said nothing for {self._within_s:g} s."
            ) from None
        except ConnectionClosed as error:
            raise _ended(error) from None


def _ended(error: ConnectionClosed) -> ConnectionEnded:
    close = error.rcvd
    if close is None:
        return ConnectionEnded(None, "The connection broke.")
    return ConnectionEnded(close.code, f"The server ended the connection: {close.reason}")


def _address(server: str) -> str:
    parts = urlsplit(server)
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ValueError(f"Expected a server such as https://example.org, came {server!r}.")
    path = parts.path.rstrip("/") + "/ws"
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, "", ""))
