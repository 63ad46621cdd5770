"""Open the sessions of a server, find them again, and end them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ditto_avatar.errors import (
    NotFound,
    SessionEnded,
    SessionMoved,
    ShuttingDown,
    Unauthorized,
)
from ditto_avatar.session.command_lock import STOPPING
from ditto_avatar.session.grant import Grant, key_of
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.places import MemoryPlaces
from ditto_avatar.session.services import Services
from ditto_avatar.session.session import Session
from ditto_avatar.session.shared_limit import SharedLimit
from ditto_avatar.session.stored import StoredSession, hash_token
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.types import Language

log = logging.getLogger(__name__)


class Registry:
    """Hold the sessions that are in memory, by id. Belongs to the event loop."""

    def __init__(
        self,
        services: Services,
        *,
        session_limit: RateLimit,
        shared_limit: SharedLimit | None = None,
        max_sessions: int,
        default_avatar: str,
        default_language: Language,
    ) -> None:
        self._services = services
        self._session_limit = session_limit
        self._shared_limit = shared_limit
        self._default_avatar = default_avatar
        self._default_language = default_language
        self._sessions: dict[str, Session] = {}
        self._loading: dict[str, asyncio.Task[Session]] = {}
        self._places = MemoryPlaces(max_sessions, services.share)
        self._removing: set[str] = set()
        """Sessions that are being removed: nobody may load them again meanwhile."""
        self._tasks = OwnTasks()
        self._closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def closing(self) -> bool:
        """Whether the server is stopping."""
        return self._closing

    @property
    def sessions(self) -> list[Session]:
        """The sessions in memory."""
        return list(self._sessions.values())

    def holds(self, session_id: str) -> bool:
        """Return whether a session is in memory, or on its way there."""
        return session_id in self._sessions or session_id in self._loading

    @property
    def viewers(self) -> int:
        """Connections of all sessions."""
        return sum(session.viewers for session in self._sessions.values())

    async def open(
        self,
        address: str,
        avatar: str | None = None,
        language: Language | None = None,
        grant: Grant | None = None,
    ) -> Session:
        """Open a session for `address`, with the limits of `grant`. It is stored with its first
        turn; until then it ends when its viewer leaves. Raises `NotFound` for an unknown avatar,
        `RateLimited`, `ShuttingDown`, `StorageFailed`, and `Busy` when there are too many.
        Cancelling is safe."""
        self._services.drain.check()
        name = avatar or self._default_avatar
        self._services.find_avatar(name, key_of(grant))
        self._session_limit.take(address)
        self._reserve(address)
        try:
            if self._shared_limit is not None:
                await self._shared_limit.take(address)
                self._check_open()
            token = secrets.token_urlsafe(24)
            stored = StoredSession(
                secrets.token_hex(16),
                hash_token(token),
                name,
                language or self._default_language,
                grant=grant,
            )
            return self._add(stored, token, address, is_new=True)
        except BaseException:
            self._places.give_back(address)
            raise

    async def find(self, session_id: str, token: str, address: str = "unknown") -> Session:
        """Return the session of that id, from memory or from the store; `address` is the caller's.
        Raises `SessionEnded`, `Unauthorized`, `Busy`, `ShuttingDown` and `StorageFailed`, and
        `SessionMoved` while another server holds it. Cancelling is safe."""
        if session_id in self._removing:
            raise SessionEnded("The session has ended.")
        session = self._sessions.get(session_id)
        if session is None:
            session = await self._load(session_id, token, address)
        if not secrets.compare_digest(session.token.encode(), token.encode()):
            raise Unauthorized("The token does not belong to this session.")
        if not self._services.admits(session.grant):
            raise SessionEnded("The time of this session is over.")
        return session

    def get(self, session_id: str) -> Session | None:
        """Return the session of that id if it is in memory, for operators: no token is asked
        for."""
        return self._sessions.get(session_id)

    async def close(self, grace_s: float) -> None:
        """Take no new turns, give running ones `grace_s` seconds, then end all. Cancelling is
        not safe: call it again."""
        self._closing = True
        closing = [session.close("shutdown", grace_s) for session in self._sessions.values()]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failure, Exception):
                log.error("a session could not be closed", exc_info=failure)
        await self._tasks.drained(grace_s + 1)

    async def _load(self, session_id: str, token: str, address: str) -> Session:
        """Read a session from the store, once however many ask for it."""
        loading = self._loading.get(session_id)
        others = loading is not None
        if loading is None:
            self._reserve(address)
            loading = asyncio.create_task(self._read(session_id, token, address))
            self._loading[session_id] = loading
            loading.add_done_callback(lambda done: self._loaded(session_id, address, done))
        try:
            return await asyncio.shield(loading)
        except Unauthorized:
            if not others:
                raise
        # The token of another caller was wrong, which says nothing of this one.
        return await self.find(session_id, token, address)

    async def _read(self, session_id: str, token: str, address: str) -> Session:
        store = self._services.store
        asked = await store.session(session_id, newest_turns=0)
        if asked is None:
            raise SessionEnded("There is no such session; it may have ended.")
        if not asked.accepts(token):
            raise Unauthorized("The token does not belong to this session.")
        if asked.closed:
            raise SessionEnded("The session has ended.")
        taken = await self._services.ownership.take(session_id)
        stored = await store.session(session_id)
        if stored is None or stored.epoch != taken.held.epoch:
            raise SessionMoved("The conversation has just moved to another server.")
        if self._closing:
            await self._services.ownership.give_back(taken.held)
            raise ShuttingDown(STOPPING)
        try:
            self._services.find_avatar(stored.avatar, key_of(stored.grant))
        except NotFound:
            # A presenter that was removed costs nobody a conversation.
            stored = replace(stored, avatar=self._default_avatar)
        return self._add(stored, token, address, cut=taken.cut)

    def _loaded(self, session_id: str, address: str, done: asyncio.Task[Session]) -> None:
        del self._loading[session_id]
        if done.cancelled() or done.exception() is not None:
            self._places.give_back(address)

    def _add(
        self,
        stored: StoredSession,
        token: str,
        address: str,
        *,
        is_new: bool = False,
        cut: frozenset[str] = frozenset(),
    ) -> Session:
        session = Session(
            stored,
            token,
            self._services,
            address=address,
            is_new=is_new,
            cut=cut,
            left=self._viewer_left,
            lost=self._taken_over,
        )
        self._sessions[session.id] = session
        return session

    def _viewer_left(self, session: Session) -> None:
        """End a session at once if its viewer left before anything was said."""
        if session.empty and self._sessions.get(session.id) is session:
            self.evict(session)
            self._tasks.start(session.close("idle"), "closing an empty session")

    async def close_taken_over(self) -> None:
        """Let sessions go that another server has taken or an operator there has removed. Raises
        `StorageFailed`."""
        held = {session.held: session for session in self._sessions.values() if session.held}
        for lost in await self._services.ownership.lost(list(held)):
            self._taken_over(held[lost])

    def _taken_over(self, session: Session) -> None:
        """Send the viewers of a session to the server that has it now."""
        if self._sessions.get(session.id) is session:
            self._services.metrics.sessions_moved.labels("lost").inc()
            self.evict(session)
            self._tasks.start(session.close("moved"), "closing a session that was taken over")

    def _reserve(self, address: str) -> None:
        """Take a place in memory for one more session of `address`."""
        self._check_open()
        self._places.reserve(address, self._evict_idle)

    def _check_open(self) -> None:
        if self._closing:
            raise ShuttingDown(STOPPING)

    def _evict_idle(self, address: str | None) -> None:
        """Let the session leave the memory that nobody watches and that was not used for longest,
        of all or of one address."""
        idle = [
            session
            for session in self._sessions.values()
            if not session.viewers
            and not session.busy
            and (address is None or session.address == address)
        ]
        if idle:
            session = min(idle, key=lambda session: session.used_at)
            self.evict(session)
            self._tasks.start(session.close("idle"), "closing an idle session")

    def evict(self, session: Session) -> None:
        """Let a session leave the memory; close it next. The store brings it back."""
        if self._sessions.pop(session.id, None) is not None:
            self._places.give_back(session.address)

    @asynccontextmanager
    async def detached(self, session_id: str, reason: str) -> AsyncIterator[Session | None]:
        """Close a session, if it is in memory, and keep it away inside the block: it is not loaded
        again meanwhile, and a load that has begun is waited for."""
        self._removing.add(session_id)
        try:
            if (loading := self._loading.get(session_id)) is not None:
                await asyncio.wait([loading])
            if (session := self._sessions.get(session_id)) is not None:
                await session.close(reason)
                self.evict(session)
            yield session
        finally:
            self._removing.discard(session_id)
