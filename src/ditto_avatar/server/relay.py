"""Carry the connection of a viewer to the server that holds its session."""

from __future__ import annotations

import asyncio
import logging

from starlette.websockets import WebSocket, WebSocketState
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin

from ditto_avatar.server import peers
from ditto_avatar.session.ownership import Owner

log = logging.getLogger(__name__)

# As soon as this the page is sent to another server when the one that holds its session is gone.
_PING_S, _PONG_S = 2.0, 3.0
# What an owner tells of a turn begins so; see `wire.encoding`.
_BEGINS = '{"type":"turn.started"'
_ENDS = ('{"type":"turn.finished"', '{"type":"turn.interrupted"')
# Far more than a fragment.
_LARGEST_BYTES = 64 * 1024 * 1024
_RESTART, _NEVER_SENT = 1012, (1005, 1006, 1015)


class Relays:
    """Hold the relays of a server. Belongs to the event loop."""

    def __init__(self) -> None:
        self._relays: set[Relay] = set()

    def __len__(self) -> int:
        return len(self._relays)

    async def run(self, socket: WebSocket, hello: str, owner: Owner) -> int:
        """Relay between a viewer that said `hello` and `owner` until one of them leaves; the code
        to close the viewer's connection with. Raises `OSError` if the owner cannot be reached:
        then the viewer was sent nothing. Cancelling is safe."""
        async with await _open(socket, owner) as upstream:
            relay = Relay(socket, upstream)
            self._relays.add(relay)
            try:
                return await relay.run(hello)
            finally:
                self._relays.discard(relay)

    async def close(self, grace_s: float) -> None:
        """End every relay between two turns, or after `grace_s` seconds. Cancelling is safe."""
        ended = [asyncio.create_task(relay.close(grace_s)) for relay in self._relays]
        try:
            await asyncio.gather(*ended)
        finally:
            for task in ended:
                task.cancel()


class Relay:
    """Carry frames both ways, each as it is."""

    def __init__(self, socket: WebSocket, upstream: ClientConnection) -> None:
        self._socket = socket
        self._upstream = upstream
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = asyncio.Event()

    async def run(self, hello: str) -> int:
        """Relay until one side leaves or `close` is called; the code to close the viewer's
        connection with."""
        await self._upstream.send(hello)
        tasks = [
            asyncio.create_task(work) for work in (self._up(), self._down(), self._ended.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
                    log.debug("a relayed viewer left: %s", type(end).__name__)
        code = self._upstream.close_code
        return _RESTART if code is None or code in _NEVER_SENT or self._ended.is_set() else code

    async def close(self, grace_s: float) -> None:
        """End between two turns, or after `grace_s` seconds."""
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            log.info("a relayed answer was cut")
        self._ended.set()

    async def _up(self) -> None:
        while self._socket.client_state is WebSocketState.CONNECTED:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            text = frame.get("text")
            await self._upstream.send(text if text is not None else frame.get("bytes") or b"")

    async def _down(self) -> None:
        async for frame in self._upstream:
            if isinstance(frame, bytes):
                await self._socket.send_bytes(frame)
                continue
            if frame.startswith(_BEGINS):
                self._idle.clear()
            await self._socket.send_text(frame)
            if frame.startswith(_ENDS):
                self._idle.set()


async def _open(socket: WebSocket, owner: Owner) -> ClientConnection:
    """Connect to the owner, under the name by which the visitor reached this server."""
    origin = socket.headers.get("origin")
    connection = await peers.connected_to(owner)
    try:
        return await open_socket(
            f"ws://{socket.headers.get('host') or 'localhost'}/ws",
            sock=connection,
            origin=None if origin is None else Origin(origin),
            additional_headers=peers.forwarding_headers(socket.scope),
            compression=None,
            max_size=_LARGEST_BYTES,
            open_timeout=peers.CONNECT_S,
            ping_interval=_PING_S,
            ping_timeout=_PONG_S,
        )
    except (InvalidHandshake, EOFError) as error:
        raise ConnectionError(f"the server at {owner.url} does not answer") from error
    except BaseException:
        connection.close()
        raise
