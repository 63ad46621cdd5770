"""Stopping without cutting anybody off."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from ditto_avatar.server.house import House


class GracefulServer(uvicorn.Server):
    """Before connections are closed, running answers get the time that the settings give them;
    new turns are refused meanwhile."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once by uvicorn when the process is asked to stop."""
        app = self.config.app
        house: House | None = (
            getattr(app.state, "house", None) if isinstance(app, FastAPI) else None
        )
        if house is not None and not self.force_exit:
            await house.registry.close(house.settings.shutdown_s)
        await super().shutdown(sockets)
