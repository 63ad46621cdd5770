"""Write conversations to the database, and read them.

What was accepted is committed before `turn.started` is sent; a process that is killed loses nothing
but the answer it was giving, which the next start marks as interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from ditto_avatar.errors import (
    DittoAvatarError,
    InvalidInput,
    SessionEnded,
    SessionMoved,
    StorageFailed,
)
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.database import Database, reason_of
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.schema import ClipRow, SessionRow, TurnRow, utc_now
from ditto_avatar.session.stored import Held, StoredSession, StoredTurn, session_row, turn_of


class Store(Database):
    """Write and read conversations. Raises like `Database`.

    What is written of a session names its epoch (`Held`). Such a write raises `SessionMoved` once
    another server has the session, and `SessionEnded` if there is none; nothing is changed then.
    A cancelled write may still be committed: run it where nobody cancels it (`Writer`).
    """

    async def add_session(self, session: StoredSession) -> None:
        """Keep a new session."""
        async with self.writing() as db:
            db.add(session_row(session, self.server_id))

    async def update_session(self, held: Held, **values: str) -> None:
        """Change the avatar or language of a session, and say that it was used."""
        async with self.writing() as db:
            await _use(db, held, **values)

    async def mark_used(self, session_ids: Sequence[str]) -> None:
        """Note that these sessions were used just now."""
        if not session_ids:
            return
        async with self.writing() as db:
            await db.execute(
                update(SessionRow).where(SessionRow.id.in_(session_ids)).values(used_at=utc_now())
            )

    async def session(self, session_id: str, newest_turns: int = 200) -> StoredSession | None:
        """Return the session with its newest turns and their clips, oldest first; None if there is
        none."""
        async with self.reading() as db:
            row = await db.get(SessionRow, session_id)
            if row is None:
                return None
            query = (
                select(TurnRow)
                .where(TurnRow.session_id == session_id)
                .order_by(TurnRow.generation.desc())
                .limit(newest_turns)
                .options(selectinload(TurnRow.clips))
            )
            turns = (await db.execute(query)).scalars().all()
            return StoredSession(
                row.id,
                row.token_hash,
                row.avatar,
                row.language,
                tuple(turn_of(turn) for turn in reversed(turns)),
                Grant.of_record(row.grant),
                closed=row.closed_at is not None,
                epoch=row.epoch,
            )

    async def close_session(self, session_id: str) -> bool:
        """Say that an operator closed a session; False if there is none. The server that holds it
        lets it go."""
        async with self.writing() as db:
            done = await db.execute(
                update(SessionRow)
                .where(SessionRow.id == session_id)
                .values(closed_at=utc_now(), epoch=SessionRow.epoch + 1, owner=None)
            )
            return bool(getattr(done, "rowcount", 0))

    async def clip_names(self, session_id: str) -> list[str]:
        """Return the clips of a session, by name."""
        query = select(ClipRow.name).join(TurnRow).where(TurnRow.session_id == session_id)
        async with self.reading() as db:
            return list((await db.execute(query)).scalars())

    async def remove_session(self, session_id: str) -> None:
        """Remove a session with its turns and the records of its clips; see `purge`."""
        async with self.writing() as db:
            await db.execute(delete(SessionRow).where(SessionRow.id == session_id))
        self.mark_unpurged()

    async def sessions_unused_for(self, seconds: float) -> list[str]:
        """Return ids of sessions that nobody used for that long. The servers that hold sessions say
        so (`mark_used`) far more often."""
        before = self.ago(seconds)
        async with self.reading() as db:
            query = select(SessionRow.id).where(SessionRow.used_at < before)
            return list((await db.execute(query)).scalars())

    async def add_turn(
        self, held: Held, turn: StoredTurn, opening: StoredSession | None = None
    ) -> StoredTurn:
        """Keep an accepted turn, and with `opening` its session as well; the turn with the number
        (`generation`) that the database gave it. Raises `InvalidInput` if its `client_id` was
        accepted before."""
        session_id = held.session_id
        try:
            async with self.writing() as db:
                if opening is not None:
                    db.add(session_row(opening, self.server_id))
                    await db.flush()
                await _use(db, held)
                newest = select(func.coalesce(func.max(TurnRow.generation), 0) + 1).where(
                    TurnRow.session_id == session_id
                )
                row = insert(TurnRow).values(
                    id=turn.id,
                    session_id=session_id,
                    generation=newest.scalar_subquery(),
                    client_id=turn.client_id,
                    kind=turn.kind,
                    text=turn.text,
                    answer=turn.answer,
                    state=turn.state,
                    timings={},
                )
                number = (await db.execute(row.returning(TurnRow.generation))).scalar_one()
        except IntegrityError as error:
            if opening is not None:
                raise StorageFailed(
                    f"The session could not be stored: {reason_of(error)}."
                ) from error
            raise await self._refusal(session_id, turn, error) from error
        return replace(turn, generation=number)

    async def _refusal(
        self, session_id: str, turn: StoredTurn, error: IntegrityError
    ) -> DittoAvatarError:
        """Return the error for a `turn` that the database refused. Its message differs from server
        to server, so the rows themselves are asked."""
        async with self.reading() as db:
            twice = select(TurnRow.id).where(
                TurnRow.session_id == session_id, TurnRow.client_id == turn.client_id
            )
            if turn.client_id is not None and (await db.execute(twice)).first() is not None:
                return InvalidInput(
                    f"A message with the id {turn.client_id!r} was answered long ago."
                )
        return StorageFailed(f"The message could not be stored: {reason_of(error)}.")

    async def settle_turn(
        self,
        held: Held,
        turn_id: str,
        *,
        answer: str,
        heard: str | None,
        state: str,
        timings: dict[str, Any],
        reason: str | None = None,
    ) -> None:
        """Keep how a turn ended, and why if it was interrupted."""
        async with self.writing() as db:
            await _use(db, held)
            await db.execute(
                update(TurnRow)
                .where(TurnRow.id == turn_id)
                .values(answer=answer, heard=heard, state=state, timings=timings, reason=reason)
            )

    async def add_clip(self, held: Held, turn_id: str, clip: Clip) -> None:
        """Keep a finished clip of a turn."""
        async with self.writing() as db:
            await _use(db, held)
            db.add(
                ClipRow(
                    name=clip.name,
                    turn_id=turn_id,
                    index=clip.index,
                    text=clip.text,
                    emotion=clip.emotion.value,
                    duration=clip.duration,
                    first_frame=clip.first_frame,
                    last_frame=clip.last_frame,
                )
            )

    async def remove_turns(self, turn_ids: Sequence[str]) -> None:
        """Remove turns with the records of their clips; see `purge`."""
        async with self.writing() as db:
            await db.execute(delete(TurnRow).where(TurnRow.id.in_(turn_ids)))
        self.mark_unpurged()


async def _use(db: AsyncSession, held: Held, **values: str) -> None:
    """Say that a session was used, and keep others from taking it until this transaction ends."""
    done = await db.execute(
        update(SessionRow)
        .where(SessionRow.id == held.session_id, SessionRow.epoch == held.epoch)
        .values(used_at=utc_now(), **values)
    )
    if getattr(done, "rowcount", 0):
        return
    if await db.get(SessionRow, held.session_id) is None:
        raise SessionEnded("There is no such session; it may have ended.")
    raise SessionMoved("The conversation goes on at another server.")
