"""Serving a house, and stopping without cutting anybody off."""

from __future__ import annotations

import socket

import uvicorn

from ditto_avatar.server.app import create_app
from ditto_avatar.server.house import House, open_house
from ditto_avatar.server.memory import return_large_buffers
from ditto_avatar.settings import Settings


async def serve(settings: Settings) -> None:
    """Serve until the process is asked to stop. Raises what cannot be opened, a domain error,
    before anything listens."""
    return_large_buffers()
    async with open_house(settings) as house:
        await GracefulServer(house).serve()


class GracefulServer(uvicorn.Server):
    """Before connections are closed, running answers get the time that the settings give them;
    new turns are refused meanwhile."""

    def __init__(self, house: House) -> None:
        self._house = house
        settings = house.settings
        super().__init__(
            uvicorn.Config(
                create_app(house),
                host=settings.host,
                port=settings.port,
                lifespan="off",
                log_config=None,
                access_log=settings.log_level == "debug",
                ws_max_size=settings.max_body_kb * 1024,
                ws_ping_interval=30,
                ws_ping_timeout=30,
                # Video does not get smaller, and each connection would hold its own tables.
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=5,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once by uvicorn when the process is asked to stop."""
        if not self.force_exit:
            await self._house.registry.close(self._house.settings.shutdown_s)
        await super().shutdown(sockets)
