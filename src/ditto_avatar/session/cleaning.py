"""End sessions that are not used, and remove what is old."""

from __future__ import annotations

from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.removal import Removal
from ditto_avatar.session.services import Services
from ditto_avatar.session.shared_limit import SharedLimit

# A session without viewers leaves the memory soon; the store brings it back when they return.
_KEEP_IN_MEMORY_S = 120.0


class Cleaning:
    """Clean up behind the sessions of `registry`; the server calls it again and again. Stored
    sessions that nobody used for `idle_s` seconds are erased."""

    def __init__(
        self,
        registry: Registry,
        removal: Removal,
        services: Services,
        erasure: Erasure,
        *,
        idle_s: float,
        shared_limit: SharedLimit | None = None,
    ) -> None:
        self._registry = registry
        self._removal = removal
        self._store = services.store
        self._clock = services.clock
        self._admits = services.admits
        self._erasure = erasure
        self._idle_s = idle_s
        self._shared_limit = shared_limit

    async def sweep(self) -> None:
        """Let sessions without viewers leave the memory, and erase those that were not used for
        long. Raises `StorageFailed`; what was not done is done by the next sweep."""
        await self._end_overdue()
        now = self._clock.now()
        used = [s for s in self._registry.sessions if not s.empty and (s.viewers or s.busy)]
        for session in self._registry.sessions:
            unused_s = now - session.used_at
            if not session.viewers and not session.busy and unused_s > _KEEP_IN_MEMORY_S:
                used.append(session)
                self._registry.evict(session)
                await session.close("idle")
        # What was watched was used: it must not be forgotten right after the page is closed.
        await self._store.mark_used([session.id for session in used])
        async with self._store.sweeping() as mine:
            if mine:
                await self._erase_unused()
        await self._erasure.purge()

    async def _erase_unused(self) -> None:
        for session_id in await self._store.sessions_unused_for(self._idle_s):
            if not self._registry.holds(session_id):
                await self._removal.erase_stored(session_id, "idle")
        if self._shared_limit is not None:
            await self._shared_limit.forget()

    async def expire(self, age_s: float) -> None:
        """Remove what was said longer ago than `age_s` seconds, with its clips: conversations in
        which nothing was said since, watched or not, and the old turns of others. Raises
        `StorageFailed`; what is left then is removed the next time. Of several servers one does
        it."""
        async with self._store.sweeping() as mine:
            if mine:
                await self._expire(age_s)

    async def _expire(self, age_s: float) -> None:
        while silent := await self._erasure.silent_sessions(age_s):
            for session_id in silent:
                await self._removal.erase_stored(session_id, "idle")
        while old := await self._erasure.old_turns(age_s):
            await self._erasure.remove_turns(old)
            for turn in old:
                if (session := self._registry.get(turn.session_id)) is not None:
                    session.forget(turn.turn_id)
        await self._erasure.expire_cache(age_s)
        await self._erasure.purge()

    async def _end_overdue(self) -> None:
        """End the sessions whose grant does not hold any more, those that are watched as well."""
        for session in self._registry.sessions:
            if not self._admits(session.grant):
                self._registry.evict(session)
                await session.close("over")
