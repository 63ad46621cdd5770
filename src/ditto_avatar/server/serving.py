"""Serve, and stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ditto_avatar.clock import SystemClock
from ditto_avatar.errors import Unavailable, where_raised
from ditto_avatar.memory import allow_open_files, keep_for_good, return_large_buffers
from ditto_avatar.server.addresses import TrustedProxies
from ditto_avatar.server.app import create_admin_app, create_app
from ditto_avatar.server.connections import MAX_HEAD_BYTES, Connections, protocols
from ditto_avatar.server.exposure import OperatorPort, operator_port, warning_for
from ditto_avatar.server.parts import ServerParts
from ditto_avatar.server.startup import open_parts
from ditto_avatar.settings import Settings

log = logging.getLogger(__name__)

# Files that are open beside the connections: clips, the database, what a turn writes.
_OTHER_FILES = 1_000


async def serve(settings: Settings) -> None:
    """Serve until the process is asked to stop. Raises what cannot be opened, a domain error,
    before anything listens."""
    return_large_buffers()
    allow_open_files(settings.max_connections + _OTHER_FILES)
    os.umask(0o077)  # conversations are closed to other users of the machine
    if (warning := warning_for(settings)) is not None:
        log.warning("%s", warning)
    async with open_parts(settings) as parts, admin_port(parts):
        keep_for_good()
        await GracefulServer(parts).serve()


@asynccontextmanager
async def admin_port(parts: ServerParts) -> AsyncIterator[int | None]:
    """Serve the operator's side on a port of its own inside the block, if the settings name one;
    the port. It answers until the main one has stopped. Raises `Unavailable` if it is taken."""
    settings = parts.settings
    if operator_port(settings) is OperatorPort.NONE:
        log.info("metrics, docs and the admin interface are not served: set DITTO_ADMIN_PORT")
    if settings.admin_port is None:
        yield None
        return
    listening = _listen(settings.admin_host, settings.admin_port)
    port: int = listening.getsockname()[1]
    server = AdminServer(create_admin_app(parts), parts, settings.admin_host, port)
    serving = asyncio.create_task(server.serve([listening]), name="admin port")
    log.info(
        "metrics, docs and the admin interface are on port %d of %s", port, settings.admin_host
    )
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Unavailable(
            f"DITTO_ADMIN_PORT: port {port} of {host} cannot be opened: {error.strerror}."
        ) from error


class LimitedServer(uvicorn.Server):
    """Serve with limited connections, as the settings say."""

    def __init__(self, app: FastAPI, parts: ServerParts, host: str, port: int) -> None:
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
                app,
                host=host,
                port=port,
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
        """End connections whose time is over. Called by uvicorn ten times a second."""
        if counter % 5 == 0:
            self._places.sweep()
        return await super().on_tick(counter)


class AdminServer(LimitedServer):
    """Serve the operator's port. It leaves the signals of the process to the main server."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals alone. Called by uvicorn."""
        return nullcontext()


class GracefulServer(LimitedServer):
    """Give running answers the time that the settings name before connections are closed; new turns
    are refused meanwhile. A second Ctrl-C ends that time."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._forced = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        super().__init__(create_app(parts), parts, parts.settings.host, parts.settings.port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, or stop at once for the second signal. Called between any two
        instructions.

        uvicorn would also raise the signal again once its connections are closed. That would end
        the process with the database, budgets and children still open.
        """
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._forced.set)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop gracefully. Called once by uvicorn when the process is asked to stop."""
        grace_s = self._parts.settings.shutdown_s
        closing = asyncio.create_task(self._close_sessions(grace_s))
        forced = asyncio.create_task(self._forced.wait())
        await asyncio.wait({closing, forced}, return_when=asyncio.FIRST_COMPLETED)
        # What is left is interrupted when the parts are closed.
        closing.cancel()
        forced.cancel()
        for ended in await asyncio.gather(closing, forced, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("sessions could not be closed: %s", where_raised(ended))
        await super().shutdown(sockets)

    async def _close_sessions(self, grace_s: float) -> None:
        """End each session and each relay once its answer is over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._parts.registry.close(grace_s))
            group.create_task(self._parts.relays.close(grace_s))
