"""Let a person take a conversation along."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ditto_avatar.session.export import export
from ditto_avatar.session.film import FilmExport
from ditto_avatar.session.services import Services
from ditto_avatar.session.session import Session


class Exports:
    """Begin exports of sessions. Each counts as one of the session's messages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.films = FilmExport(services.store, services.clips, services.clip_signer)

    async def clips(self, session: Session) -> AsyncGenerator[bytes, None]:
        """Begin a ZIP of everything that is kept of `session`; see `session.export`. Raises
        `RateLimited`, `SessionEnded` and `StorageFailed`."""
        await self._allow(session)
        services = self._services
        return export(session.id, services.store, services.clips, services.clip_signer)

    async def film(self, session: Session) -> AsyncGenerator[bytes, None]:
        """Begin a ZIP of the films of `session`; see `FilmExport.export`, whose errors come before
        the first byte. Raises `RateLimited` and `StorageFailed`."""
        await self._allow(session)
        return self.films.export(session.id)

    async def _allow(self, session: Session) -> None:
        self._services.turn_limit.take(session.id)
        await session.keep()
