"""Erase conversations: on request, and by age.

Files go before the rows that name them. A process that is killed in between leaves a conversation
without its clips, which can be erased again; never clips that nothing names any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased, selectinload

from ditto_avatar.errors import StorageFailed
from ditto_avatar.pipeline.cache import SegmentCache
from ditto_avatar.pipeline.clip_writer import ClipWriter
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.session.schema import SessionRow, TurnRow
from ditto_avatar.session.store import Store

# Removed at once: other conversations are written in between.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class OldTurn:
    """A turn that is to be removed, with the names of its clips."""

    session_id: str
    turn_id: str
    clips: tuple[str, ...]


class Erasure:
    """Remove conversations from the database, the clips and the cache. Every method may be called
    again after it failed or was cancelled, and goes on where it was."""

    def __init__(
        self, store: Store, clips: ClipFolder, cache: SegmentCache, clip_writer: ClipWriter
    ) -> None:
        self._store = store
        self._clips = clips
        self._cache = cache
        self._clip_writer = clip_writer

    async def erase(self, session_id: str) -> None:
        """Remove everything of a session that nothing runs in any more. Raises `StorageFailed` with
        the conversation still there. Call `purge` when all is erased."""
        await self._clip_writer.discarded()
        names = await self._store.clip_names(session_id)
        try:
            await asyncio.to_thread(self._clips.remove, names)
            await asyncio.to_thread(self._cache.erase, session_id)
        except OSError as error:
            raise StorageFailed(
                f"A file of the conversation could not be removed: {error.strerror}."
            ) from error
        await self._store.remove_session(session_id)

    async def silent_sessions(self, age_s: float) -> list[str]:
        """Return some of the sessions in which nothing was said for `age_s` seconds; none when
        there are no more."""
        before = self._store.ago(age_s)
        newer = exists().where(TurnRow.session_id == SessionRow.id, TurnRow.created_at >= before)
        query = select(SessionRow.id).where(SessionRow.created_at < before, ~newer).limit(_BATCH)
        async with self._store.reading() as db:
            return list((await db.execute(query)).scalars())

    async def old_turns(self, age_s: float) -> list[OldTurn]:
        """Return some of the turns that are older than `age_s` seconds, none when there are no
        more. The newest turn of a session stays as long as the session does: its number is the one
        that the next turn counts from."""
        other = aliased(TurnRow)
        newer = exists().where(
            other.session_id == TurnRow.session_id, other.generation > TurnRow.generation
        )
        query = (
            select(TurnRow)
            .where(TurnRow.created_at < self._store.ago(age_s), newer)
            .options(selectinload(TurnRow.clips))
            .limit(_BATCH)
        )
        async with self._store.reading() as db:
            return [
                OldTurn(row.session_id, row.id, tuple(clip.name for clip in row.clips))
                for row in (await db.execute(query)).scalars()
            ]

    async def remove_turns(self, turns: Sequence[OldTurn]) -> None:
        """Remove `turns` with their clips."""
        names = list(itertools.chain.from_iterable(turn.clips for turn in turns))
        await asyncio.to_thread(self._clips.remove, names)
        await self._store.remove_turns([turn.turn_id for turn in turns])

    async def expire_cache(self, age_s: float) -> None:
        """Remove what was cached of sessions and not used for `age_s` seconds."""
        await asyncio.to_thread(self._cache.expire, age_s)

    async def purge(self) -> None:
        """Remove what the database still has of erased rows in its log; nothing to do where it
        was done."""
        await self._store.purge()
