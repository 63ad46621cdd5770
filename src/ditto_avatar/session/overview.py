"""Show sessions to operators: figures, and no word of what was said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from ditto_avatar.clock import Clock
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.registry import Registry
from ditto_avatar.session.schema import SessionRow, TurnRow, utc_now
from ditto_avatar.session.session import Session
from ditto_avatar.session.store import Store

IDLE, STORED, CLOSED = "idle", "stored", "closed"


@dataclass(frozen=True, slots=True)
class Figures:
    """One session. `state` is the phase of its turn, `idle` between turns, `stored` when it is not
    in memory, or `closed` by an operator."""

    session: str
    avatar: str
    language: str
    created_at: datetime | None
    """None for a session that nothing was said in yet."""
    used_at: datetime
    turns: int
    state: str
    viewers: int = 0
    address: str | None = None
    """Where its person came from; None for a session that is not in memory."""
    key: str | None = None
    """The name of the key that it was opened with."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """One turn."""

    turn: str
    kind: str
    state: str
    reason: str | None
    created_at: datetime
    timings: dict[str, Any]


class Overview:
    """Read the figures of all sessions, in memory and stored. Every method may raise
    `StorageFailed`, and cancelling it is safe."""

    def __init__(self, registry: Registry, store: Store, clock: Clock) -> None:
        self._registry = registry
        self._store = store
        self._clock = clock

    async def sessions(self, limit: int, offset: int = 0) -> list[Figures]:
        """Return at most `limit` sessions: first those without a turn, then the stored ones, the
        last used first."""
        new = [self._new(session) for session in self._registry.sessions if session.empty]
        shown = new[offset : offset + limit]
        rest = limit - len(shown)
        return shown + await self._stored(rest, max(0, offset - len(new))) if rest else shown

    async def session(self, session_id: str) -> Figures | None:
        """Return one session; None if there is none."""
        live = self._registry.get(session_id)
        if live is not None and live.empty:
            return self._new(live)
        found = await self._stored(1, 0, session_id)
        return found[0] if found else None

    async def turns(self, session_id: str, newest: int = 200) -> list[TurnFigures]:
        """Return the newest turns of a session, oldest first."""
        query = (
            select(TurnRow)
            .where(TurnRow.session_id == session_id)
            .order_by(TurnRow.generation.desc())
            .limit(newest)
        )
        async with self._store.reading() as db:
            rows = (await db.execute(query)).scalars().all()
        return [
            TurnFigures(
                row.id, row.kind, row.state, row.reason, _in_utc(row.created_at), row.timings
            )
            for row in reversed(rows)
        ]

    async def _stored(self, limit: int, offset: int, only: str | None = None) -> list[Figures]:
        turns = (
            select(func.count())
            .select_from(TurnRow)
            .where(TurnRow.session_id == SessionRow.id)
            .scalar_subquery()
        )
        query = select(SessionRow, turns).order_by(SessionRow.used_at.desc(), SessionRow.id)
        if only is not None:
            query = query.where(SessionRow.id == only)
        async with self._store.reading() as db:
            rows = (await db.execute(query.limit(limit).offset(offset))).all()
        return [self._with_live(row, count) for row, count in rows]

    def _with_live(self, row: SessionRow, turns: int) -> Figures:
        live = self._registry.get(row.id)
        grant = Grant.of_record(row.grant)
        figures = Figures(
            row.id,
            row.avatar,
            row.language,
            _in_utc(row.created_at),
            _in_utc(row.used_at) if live is None else self._used_at(live),
            turns,
            CLOSED if row.closed_at is not None else STORED if live is None else _state(live),
            key=None if grant is None else grant.key,
        )
        return figures if live is None else _with_viewers(figures, live)

    def _new(self, session: Session) -> Figures:
        key = None if session.grant is None else session.grant.key
        figures = Figures(
            session.id,
            session.avatar.name,
            session.language.value,
            None,
            self._used_at(session),
            0,
            _state(session),
            key=key,
        )
        return _with_viewers(figures, session)

    def _used_at(self, session: Session) -> datetime:
        return utc_now() - timedelta(seconds=self._clock.now() - session.used_at)


def _in_utc(at: datetime) -> datetime:
    """The time with its zone, which SQLite does not keep."""
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _state(session: Session) -> str:
    return IDLE if session.phase is None else session.phase.value


def _with_viewers(figures: Figures, session: Session) -> Figures:
    return replace(figures, viewers=session.viewers, address=session.address)
