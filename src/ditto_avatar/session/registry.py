"""All sessions of a server: opened, found again, ended when nobody needs them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ditto_avatar.errors import Busy, NotFound, SessionEnded, ShuttingDown, Unauthorized
from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.export import export
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.records import StoredSession, hash_token
from ditto_avatar.session.runner import Services
from ditto_avatar.session.session import Session
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.types import Language

log = logging.getLogger(__name__)

# A session without viewers leaves the memory soon; the store brings it back when they return.
_KEEP_IN_MEMORY_S = 120.0


class Registry:
    """Sessions by id. Belongs to the event loop."""

    def __init__(
        self,
        services: Services,
        erasure: Erasure,
        *,
        session_limit: RateLimit,
        max_sessions: int,
        idle_s: float,
        default_avatar: str,
        default_language: Language,
    ) -> None:
        self._services = services
        self._erasure = erasure
        self._session_limit = session_limit
        self._max_sessions = max_sessions
        self._idle_s = idle_s
        self._default_avatar = default_avatar
        self._default_language = default_language
        self._sessions: dict[str, Session] = {}
        self._loading: dict[str, asyncio.Task[Session]] = {}
        self._held: Counter[str] = Counter()
        """How many sessions each address has in memory, those that are loading included."""
        self._going: set[str] = set()
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
        """Open a session for somebody at `address`, with the limits of `grant`. It is stored with
        its first turn; until then it ends when its viewer leaves. Raises `NotFound` for an unknown
        avatar, `RateLimited`, `ShuttingDown`, and `Busy` when there are too many. Cancelling is
        safe."""
        self._services.drain.check()
        name = avatar or self._default_avatar
        self._services.find_avatar(name)
        self._session_limit.take(address)
        self._reserve(address)
        token = secrets.token_urlsafe(24)
        stored = StoredSession(
            secrets.token_hex(16),
            hash_token(token),
            name,
            language or self._default_language,
            grant=grant,
        )
        return self._add(stored, token, address, is_new=True)

    async def find(self, session_id: str, token: str, address: str = "unknown") -> Session:
        """The session of that id, from memory or from the store; `address` is where it is asked
        for from. Raises `SessionEnded`, `Unauthorized`, `Busy` and `StorageFailed`. Cancelling is
        safe."""
        if session_id in self._going:
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
        """The session of that id if it is in memory, for operators: no token is asked for."""
        return self._sessions.get(session_id)

    async def end(self, session_id: str) -> bool:
        """End a session for good and keep what was said; False if there is none. Raises
        `StorageFailed`. Cancelling is safe: it ends all the same."""
        return await self._tasks.finish(self._end(session_id))

    async def erase(self, session_id: str) -> bool:
        """End a session with everything it stored, whether it is in memory or not; False if there
        is none. Raises and can be cancelled like `remove`."""
        return await self._tasks.finish(self._erase_any(session_id))

    async def _erase_any(self, session_id: str) -> bool:
        stored = await self._services.store.session(session_id, newest_turns=0)
        if stored is None and session_id not in self._sessions:
            return False
        await self._erase_at_once(session_id, "operator")
        return True

    async def _end(self, session_id: str) -> bool:
        async with self._leaving(session_id, "operator") as session:
            found = await self._services.store.close_session(session_id)
        return found or session is not None

    async def remove(self, session: Session) -> None:
        """End a session for good, with everything it stored. Raises `StorageFailed`; then it can
        be found and removed again. Cancelling is safe: it goes all the same."""
        await self._tasks.finish(self._erase_at_once(session.id, "user"))

    async def _erase_at_once(self, session_id: str, reason: str) -> None:
        await self._erase(session_id, reason)
        await self._erasure.purge()

    async def sweep(self) -> None:
        """Let go of sessions that nobody watches, and end those that nobody used for long. Raises
        `StorageFailed`; what was not done is done by the next sweep."""
        await self._end_overdue()
        now = self._services.clock.now()
        used = [s for s in self._sessions.values() if not s.empty and (s.viewers or s.busy)]
        for session in list(self._sessions.values()):
            unused_s = now - session.used_at
            if not session.viewers and not session.busy and unused_s > _KEEP_IN_MEMORY_S:
                used.append(session)
                self._release(session)
                await session.close("idle")
        # What was watched was used: it must not be forgotten right after the page is closed.
        await self._services.store.mark_used([session.id for session in used])
        for session_id in await self._services.store.sessions_unused_for(self._idle_s):
            if session_id not in self._sessions and session_id not in self._loading:
                await self._erase(session_id, "idle")
        await self._erasure.purge()

    async def expire(self, age_s: float) -> None:
        """Remove what was said longer ago than `age_s` seconds, with its clips: conversations in
        which nothing was said since, watched or not, and the old turns of others. Raises
        `StorageFailed`; what is left then is removed the next time."""
        while silent := await self._erasure.silent_sessions(age_s):
            for session_id in silent:
                await self._erase(session_id, "idle")
        while old := await self._erasure.old_turns(age_s):
            await self._erasure.remove_turns(old)
            for turn in old:
                if (session := self._sessions.get(turn.session_id)) is not None:
                    session.forget(turn.turn_id)
        await self._erasure.expire_cache(age_s)
        await self._erasure.purge()

    async def export(self, session: Session) -> AsyncGenerator[bytes, None]:
        """Begin a ZIP of everything that is kept of `session`; see `session.export`. Counts as
        one of its messages. Raises `RateLimited`, `SessionEnded` and `StorageFailed`."""
        services = self._services
        services.turn_limit.take(session.id)
        await session.keep()
        return export(session.id, services.store, services.clips)

    async def _end_overdue(self) -> None:
        """End the sessions whose grant does not hold any more, those that are watched as well."""
        for session in list(self._sessions.values()):
            if not self._services.admits(session.grant):
                self._release(session)
                await session.close("over")

    async def close(self, grace_s: float) -> None:
        """Take no new turns, give running ones `grace_s` seconds, then end all."""
        self._closing = True
        closing = [session.close("shutdown", grace_s) for session in self._sessions.values()]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failure, Exception):
                log.error("a session could not be closed", exc_info=failure)
        await self._tasks.drained(grace_s + 1)

    async def _load(self, session_id: str, token: str, address: str) -> Session:
        """Read a session from the store, once however many ask for it."""
        loading = self._loading.get(session_id)
        if loading is None:
            self._reserve(address)
            loading = asyncio.create_task(self._read(session_id, token, address))
            self._loading[session_id] = loading
            loading.add_done_callback(lambda done: self._loaded(session_id, address, done))
        return await asyncio.shield(loading)

    async def _read(self, session_id: str, token: str, address: str) -> Session:
        stored = await self._services.store.session(session_id)
        if stored is None:
            raise SessionEnded("There is no such session; it may have ended.")
        if not stored.accepts(token):
            raise Unauthorized("The token does not belong to this session.")
        if stored.closed:
            raise SessionEnded("The session has ended.")
        if self._closing:
            raise ShuttingDown("The server is stopping; please try again in a moment.")
        try:
            self._services.find_avatar(stored.avatar)
        except NotFound:
            # A presenter that was removed costs nobody a conversation.
            stored = replace(stored, avatar=self._default_avatar)
        return self._add(stored, token, address)

    def _loaded(self, session_id: str, address: str, done: asyncio.Task[Session]) -> None:
        del self._loading[session_id]
        if done.cancelled() or done.exception() is not None:
            self._give_back(address)

    def _add(
        self, stored: StoredSession, token: str, address: str, *, is_new: bool = False
    ) -> Session:
        session = Session(
            stored, token, self._services, address=address, is_new=is_new, left=self._left
        )
        self._sessions[session.id] = session
        return session

    def _left(self, session: Session) -> None:
        """End a session at once if its viewer left before anything was said."""
        if session.empty and self._sessions.get(session.id) is session:
            self._release(session)
            self._tasks.start(session.close("idle"), "closing an empty session")

    def _reserve(self, address: str) -> None:
        """Take a place for one more session of `address`; `_give_back` frees it."""
        if self._closing:
            raise ShuttingDown("The server is stopping; please try again in a moment.")
        allowed = self._services.share.of(self._max_sessions, address)
        if self._held[address] >= allowed:
            self._put_out(address)
        if self._held[address] >= allowed:
            raise Busy(f"You have {allowed:,} open sessions already; please close one of them.")
        if self._held.total() >= self._max_sessions:
            self._put_out()
        if self._held.total() >= self._max_sessions:
            raise Busy(f"All {self._max_sessions:,} sessions are taken; please try again later.")
        self._held[address] += 1

    def _put_out(self, address: str | None = None) -> None:
        """Let the session leave the memory that nobody watches and that was not used for longest,
        of all or of one address; the store brings it back."""
        idle = [
            session
            for session in self._sessions.values()
            if not session.viewers
            and not session.busy
            and (address is None or session.address == address)
        ]
        if idle:
            session = min(idle, key=lambda session: session.used_at)
            self._release(session)
            self._tasks.start(session.close("idle"), "closing an idle session")

    def _release(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._give_back(session.address)

    def _give_back(self, address: str) -> None:
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]

    async def _erase(self, session_id: str, reason: str) -> None:
        """Close a session and remove everything of it."""
        async with self._leaving(session_id, reason):
            await self._erasure.erase(session_id)

    @asynccontextmanager
    async def _leaving(self, session_id: str, reason: str) -> AsyncIterator[Session | None]:
        """Close a session, if it is in memory, and keep it away inside the block. Nobody brings it
        back meanwhile: not who asks for it from now on, nor who is reading it from the store
        already."""
        self._going.add(session_id)
        try:
            if (loading := self._loading.get(session_id)) is not None:
                await asyncio.wait([loading])
            if (session := self._sessions.get(session_id)) is not None:
                await session.close(reason)
                self._release(session)
            yield session
        finally:
            self._going.discard(session_id)
