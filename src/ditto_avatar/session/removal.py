"""End sessions for good, with or without what was said in them."""

from __future__ import annotations

from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.store import Store
from ditto_avatar.session.tasks import OwnTasks


class Removal:
    """End the sessions of `registry` for good, whether they are in memory or not. Belongs to the
    event loop.

    Every method raises `StorageFailed`; then it can be called again. Cancelling a caller is safe:
    the session goes all the same.
    """

    def __init__(self, registry: Registry, store: Store, erasure: Erasure) -> None:
        self._registry = registry
        self._store = store
        self._erasure = erasure
        self._tasks = OwnTasks()

    async def end(self, session_id: str) -> bool:
        """End a session and keep what was said; False if there is none."""
        return await self._tasks.finish(self._end(session_id))

    async def erase(self, session_id: str, reason: str) -> bool:
        """End a session with everything it stored; False if there is none."""
        return await self._tasks.finish(self._erase(session_id, reason))

    async def erase_stored(self, session_id: str, reason: str) -> None:
        """End a session and remove everything of it, but for the purge, which the caller does
        once for many. Cancelling is not safe: call it again."""
        async with self._registry.detached(session_id, reason):
            await self._erasure.erase(session_id)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is being removed; False if something still is after `timeout_s`
        seconds. Cancelling is safe."""
        return await self._tasks.drained(timeout_s)

    async def _end(self, session_id: str) -> bool:
        async with self._registry.detached(session_id, "operator") as session:
            found = await self._store.close_session(session_id)
        return found or session is not None

    async def _erase(self, session_id: str, reason: str) -> bool:
        async with self._registry.detached(session_id, reason) as session:
            if session is None and await self._store.session(session_id, newest_turns=0) is None:
                return False
            await self._erasure.erase(session_id)
        await self._erasure.purge()
        return True
