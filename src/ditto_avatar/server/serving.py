"""Serve, and stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from types import FrameType

import uvicorn

from ditto_avatar.clock import SystemClock
from ditto_avatar.errors import where_raised
from ditto_avatar.server.addresses import TrustedProxies
from ditto_avatar.server.app import create_app
from ditto_avatar.server.connections import MAX_HEAD_BYTES, Connections, protocols
from ditto_avatar.server.memory import allow_open_files, keep_for_good, return_large_buffers
from ditto_avatar.server.parts import ServerParts, open_parts
from ditto_avatar.settings import Settings

log = logging.getLogger(__name__)

# Files that are open beside the connections: clips, the database, what a turn writes.
_OTHER_FILES = 1_000


async def serve(settings: Settings) -> None:
    """Serve until the process is asked to stop. Raises what cannot be opened, a domain error,
    before anything listens."""
    return_large_buffers()
    allow_open_files(settings.max_connections + _OTHER_FILES)
    os.umask(0o077)  # what people say is for nobody else on this machine
    async with open_parts(settings) as parts:
        keep_for_good()
        await GracefulServer(parts).serve()


class GracefulServer(uvicorn.Server):
    """Before connections are closed, running answers get the time that the settings give them;
    new turns are refused meanwhile. A second Ctrl-C ends that time."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._forced = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        settings = parts.settings
        self._places = Connections(
            most=settings.max_connections,
            most_per_address=settings.max_connections_per_address,
            request_s=settings.request_s,
            unread_s=settings.unread_s,
            proxies=TrustedProxies.read(settings.trusted_proxies),
            clock=SystemClock(),
            metrics=parts.metrics,
        )
        http, websocket = protocols(self._places)
        super().__init__(
            uvicorn.Config(
                create_app(parts),
                host=settings.host,
                port=settings.port,
                lifespan="off",
                log_config=None,
                access_log=settings.log_level == "debug",
                http=http,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                # `server.gate` does this, for trusted proxies only.
                proxy_headers=False,
                server_header=False,
                ws=websocket,
                ws_max_size=settings.max_body_kb * 1024,
                ws_ping_interval=30,
                ws_ping_timeout=30,
                # Video does not get smaller, and each connection would hold its own tables.
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=5,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if counter % 5 == 0:
            self._places.sweep()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for a signal, between any two instructions."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            self._loop.call_soon_threadsafe(self._forced.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once by uvicorn when the process is asked to stop."""
        grace_s = self._parts.settings.shutdown_s
        closing = asyncio.create_task(self._parts.registry.close(grace_s))
        forced = asyncio.create_task(self._forced.wait())
        await asyncio.wait({closing, forced}, return_when=asyncio.FIRST_COMPLETED)
        # What is left is interrupted when the parts is closed.
        closing.cancel()
        forced.cancel()
        for ended in await asyncio.gather(closing, forced, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("sessions could not be closed: %s", where_raised(ended))
        await super().shutdown(sockets)
