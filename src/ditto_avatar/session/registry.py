"""All sessions of a server: opened, found again, ended when nobody needs them."""

from __future__ import annotations

import asyncio
import logging
import secrets

from ditto_avatar.errors import Busy, NotFound, ShuttingDown, Unauthorized
from ditto_avatar.session.clips import ClipFolder
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.session import Services, Session
from ditto_avatar.session.store import StoredSession, hash_token
from ditto_avatar.types import Language

log = logging.getLogger(__name__)

# A session without viewers leaves the memory soon; the store brings it back when they return.
_KEEP_IN_MEMORY_S = 120.0


class Registry:
    """Sessions by id. Belongs to the event loop."""

    def __init__(
        self,
        services: Services,
        clips: ClipFolder,
        *,
        session_limit: RateLimit,
        max_sessions: int,
        idle_s: float,
        default_avatar: str,
        default_language: Language,
    ) -> None:
        self._services = services
        self._clips = clips
        self._session_limit = session_limit
        self._max_sessions = max_sessions
        self._idle_s = idle_s
        self._default_avatar = default_avatar
        self._default_language = default_language
        self._sessions: dict[str, Session] = {}
        self._loading = asyncio.Lock()
        self._closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def closing(self) -> bool:
        """Whether the server is stopping."""
        return self._closing

    @property
    def viewers(self) -> int:
        """Connections of all sessions."""
        return sum(session.viewers for session in self._sessions.values())

    async def open(
        self, address: str, avatar: str | None = None, language: Language | None = None
    ) -> Session:
        """A new session for somebody at `address`. Raises `NotFound` for an unknown avatar,
        `RateLimited`, `Busy` when there are too many, and `StorageFull`."""
        self._check_room()
        self._session_limit.take(address)
        token = secrets.token_urlsafe(24)
        name = avatar or self._default_avatar
        self._services.find_avatar(name)
        stored = StoredSession(
            secrets.token_hex(16), hash_token(token), name, language or self._default_language
        )
        await self._services.store.add_session(stored)
        session = Session(stored, token, self._services)
        self._sessions[session.id] = session
        return session

    async def find(self, session_id: str, token: str) -> Session:
        """The session of that id, from memory or from the store. Raises `NotFound` and
        `Unauthorized`."""
        if session_id not in self._sessions:
            await self._load(session_id, token)
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound("There is no such session; it may have ended.")
        if not secrets.compare_digest(session.token.encode(), token.encode()):
            raise Unauthorized("The token does not belong to this session.")
        return session

    async def remove(self, session: Session) -> None:
        """End a session for good, with everything it stored."""
        await session.close("user")
        self._sessions.pop(session.id, None)
        await self._forget(session.id)

    async def sweep(self) -> None:
        """Let go of sessions that nobody watches, and end those that nobody used for long."""
        now = self._services.clock.now()
        for session in list(self._sessions.values()):
            unused_s = now - session.used_at
            if not session.viewers and not session.busy and unused_s > _KEEP_IN_MEMORY_S:
                del self._sessions[session.id]
                await session.close("idle")
        for session_id in await self._services.store.sessions_unused_for(self._idle_s):
            if session_id not in self._sessions:
                await self._forget(session_id)

    async def close(self, grace_s: float) -> None:
        """Take no new turns, give running ones `grace_s` seconds, then end all."""
        self._closing = True
        sessions = list(self._sessions.values())
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(session.close("shutdown", grace_s))

    async def _load(self, session_id: str, token: str) -> None:
        async with self._loading:
            if session_id in self._sessions:
                return
            stored = await self._services.store.session(session_id)
            if stored is None:
                return
            if not stored.accepts(token):
                raise Unauthorized("The token does not belong to this session.")
            self._check_room()
            self._sessions[session_id] = Session(stored, token, self._services)

    def _check_room(self) -> None:
        if self._closing:
            raise ShuttingDown("The server is stopping; please try again in a moment.")
        if len(self._sessions) >= self._max_sessions:
            raise Busy(f"All {self._max_sessions:,} sessions are taken; please try again later.")

    async def _forget(self, session_id: str) -> None:
        names = await self._services.store.remove_session(session_id)
        await asyncio.to_thread(self._clips.remove, names)
