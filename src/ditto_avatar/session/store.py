"""Conversations on disk: SQLite in WAL mode by default, PostgreSQL by URL.

What was accepted is committed before anybody is told so; a process that is killed loses nothing
but the answer it was giving, which the next start marks as interrupted.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import delete, event, func, insert, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import selectinload

from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import (
    DittoAvatarError,
    InvalidInput,
    SessionEnded,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.database_lock import DatabaseLock
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.schema import ClipRow, SessionRow, TurnRow, utc_now
from ditto_avatar.types import Emotion

# SQLite lets one connection write at a time; a second one reads meanwhile. Each is a thread.
_SQLITE_CONNECTIONS = 2
# Purging holds up whoever writes, so it waits only briefly for readers.
_PURGE_TIMEOUT_MS = 250
# Drivers that do not hold up the event loop, for URLs that name none.
_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg",
            "sqlite": "sqlite+aiosqlite"}  # fmt: skip

RUNNING, FINISHED, INTERRUPTED = "running", "finished", "interrupted"


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One turn of a conversation as it is kept."""

    id: str
    generation: int
    kind: str
    text: str
    answer: str = ""
    heard: str | None = None
    state: str = RUNNING
    client_id: str | None = None
    reason: str | None = None
    """Why it was interrupted: `user`, `shutdown`, or the code of the error that ended it."""
    clips: tuple[Clip, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A conversation as it is kept. The token itself is never stored, only its hash."""

    id: str
    token_hash: str
    avatar: str
    language: str
    turns: tuple[StoredTurn, ...] = ()
    grant: Grant | None = None
    closed: bool = False
    """Whether an operator closed it."""

    def accepts(self, token: str) -> bool:
        """Whether `token` is this session's."""
        return hmac.compare_digest(self.token_hash, hash_token(token))


def hash_token(token: str) -> str:
    """What is kept of a token; tokens are random, so a plain digest suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


class Store:
    """Reads and writes conversations.

    Every method raises `StorageFull` when nothing can be written and `StorageFailed` when the
    database does not answer; the constructor raises `InvalidInput` or `Unavailable` for a URL that
    leads nowhere. Cancelling a read is safe. A cancelled write may still be committed: run it where
    nobody cancels it (`Writer`).
    """

    def __init__(self, url: str, clock: AgeClock | None = None) -> None:
        self._url = _read_url(url)
        self._engine = _open_engine(self._url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._lock = DatabaseLock(self._engine)
        self._clock = clock or AgeClock()
        # A process that was killed may have removed rows without purging the log.
        self._unpurged = self._url.get_backend_name() == "sqlite"

    async def start(self) -> int:
        """Bring the schema up to date and mark what a killed process left running as
        interrupted; how many turns that were. Raises `Unavailable` if the database cannot be
        reached, if a newer version has changed it, or if another server uses it: what that one
        says now would be marked, too."""
        try:
            await self._lock.acquire()
            async with self._engine.begin() as connection:
                await connection.run_sync(_upgrade)
            async with self._sessions.begin() as db:
                left = await db.execute(
                    update(TurnRow).where(TurnRow.state == RUNNING).values(state=INTERRUPTED)
                )
                return int(getattr(left, "rowcount", 0))
        except (SQLAlchemyError, OSError) as error:
            shown = self._url.render_as_string(hide_password=True)
            raise Unavailable(f"The database {shown} cannot be used: {_reason(error)}.") from error
        except CommandError as error:  # a step of the schema that is not known here
            shown = self._url.render_as_string(hide_password=True)
            raise Unavailable(
                f"The database {shown} belongs to a newer version of Ditto Avatar. Use that "
                "version, or restore a backup of an older one."
            ) from error

    async def check(self) -> str:
        """Ask the database for nothing; a sentence that names it, without its password. Raises
        `Unavailable` like `start`, and changes nothing."""
        shown = self._url.render_as_string(hide_password=True)
        try:
            async with self._engine.connect() as connection:
                await connection.execute(select(1))
        except (DBAPIError, OSError) as error:
            raise Unavailable(f"The database {shown} cannot be used: {_reason(error)}.") from error
        return f"{shown} answers"

    async def check_writable(self) -> None:
        """Ask for the right to write and change nothing. Raises `StorageFull`."""
        async with self._writing() as db:
            await db.execute(
                update(SessionRow).where(SessionRow.id == "").values(used_at=SessionRow.used_at)
            )

    async def close(self) -> None:
        """Close all connections."""
        await self._lock.release()
        await self._engine.dispose()

    async def add_session(self, session: StoredSession) -> None:
        """Keep a new session."""
        async with self._writing() as db:
            db.add(_session_row(session))

    async def update_session(self, session_id: str, **values: str) -> None:
        """Change the avatar or language of a session, and say that it was used."""
        async with self._writing() as db:
            await db.execute(
                update(SessionRow)
                .where(SessionRow.id == session_id)
                .values(used_at=utc_now(), **values)
            )

    async def mark_used(self, session_ids: Sequence[str]) -> None:
        """Say that somebody used these sessions just now."""
        if not session_ids:
            return
        async with self._writing() as db:
            await db.execute(
                update(SessionRow).where(SessionRow.id.in_(session_ids)).values(used_at=utc_now())
            )

    async def session(self, session_id: str, newest_turns: int = 200) -> StoredSession | None:
        """The session with its newest turns and their clips, oldest first; None if there is
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
                tuple(_turn_of(turn) for turn in reversed(turns)),
                Grant.of_record(row.grant),
                closed=row.closed_at is not None,
            )

    async def close_session(self, session_id: str) -> bool:
        """Say that an operator closed a session; False if there is none."""
        async with self._writing() as db:
            done = await db.execute(
                update(SessionRow).where(SessionRow.id == session_id).values(closed_at=utc_now())
            )
            return bool(getattr(done, "rowcount", 0))

    async def clip_names(self, session_id: str) -> list[str]:
        """The clips of a session, by name."""
        query = select(ClipRow.name).join(TurnRow).where(TurnRow.session_id == session_id)
        async with self.reading() as db:
            return list((await db.execute(query)).scalars())

    async def remove_session(self, session_id: str) -> None:
        """Remove a session with its turns and the records of its clips; see `purge`."""
        async with self._writing() as db:
            await db.execute(delete(SessionRow).where(SessionRow.id == session_id))
        self._mark_unpurged()

    async def sessions_unused_for(self, seconds: float) -> list[str]:
        """Ids of sessions that nobody used for that long."""
        before = self.ago(seconds)
        async with self.reading() as db:
            query = select(SessionRow.id).where(SessionRow.used_at < before)
            return list((await db.execute(query)).scalars())

    async def add_turn(
        self, session_id: str, turn: StoredTurn, opening: StoredSession | None = None
    ) -> StoredTurn:
        """Keep an accepted turn, and with `opening` its session as well; the turn with the number
        (`generation`) that the database gave it. Raises `InvalidInput` if its `client_id` was
        accepted before, and `SessionEnded` if there is no such session."""
        try:
            async with self._writing() as db:
                if opening is not None:
                    db.add(_session_row(opening))
                    await db.flush()
                await db.execute(
                    update(SessionRow).where(SessionRow.id == session_id).values(used_at=utc_now())
                )
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
                    f"The session could not be stored: {_reason(error)}."
                ) from error
            raise await self._refusal(session_id, turn, error) from error
        return replace(turn, generation=number)

    async def _refusal(
        self, session_id: str, turn: StoredTurn, error: IntegrityError
    ) -> DittoAvatarError:
        """Which rule of the database refused `turn`: its message differs from server to server, so
        the rows themselves are asked."""
        async with self.reading() as db:
            if await db.get(SessionRow, session_id) is None:
                return SessionEnded("There is no such session; it may have ended.")
            twice = select(TurnRow.id).where(
                TurnRow.session_id == session_id, TurnRow.client_id == turn.client_id
            )
            if turn.client_id is not None and (await db.execute(twice)).first() is not None:
                return InvalidInput(
                    f"A message with the id {turn.client_id!r} was answered long ago."
                )
        return StorageFailed(f"The message could not be stored: {_reason(error)}.")

    async def settle_turn(
        self,
        turn_id: str,
        *,
        answer: str,
        heard: str | None,
        state: str,
        timings: dict[str, Any],
        reason: str | None = None,
    ) -> None:
        """Keep how a turn ended, and why if it was interrupted."""
        async with self._writing() as db:
            await db.execute(
                update(TurnRow)
                .where(TurnRow.id == turn_id)
                .values(answer=answer, heard=heard, state=state, timings=timings, reason=reason)
            )

    async def add_clip(self, turn_id: str, clip: Clip) -> None:
        """Keep a finished clip of a turn."""
        async with self._writing() as db:
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
        async with self._writing() as db:
            await db.execute(delete(TurnRow).where(TurnRow.id.in_(turn_ids)))
        self._mark_unpurged()

    async def purge(self) -> bool:
        """Clear SQLite's write-ahead log of rows that were removed; True when nothing is left of
        them. False, after a moment, while another process reads the database: try again later.
        Removed rows are overwritten in the database itself (`secure_delete`). PostgreSQL does
        both by its own vacuum. Cancelling is safe."""
        if not self._unpurged:
            return True
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.exec_driver_sql(f"PRAGMA busy_timeout={_PURGE_TIMEOUT_MS}")
                answer = await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                self._unpurged = bool(answer.one()[0])
                # Others wait longer: they get a new one.
                await connection.invalidate()
        except (SQLAlchemyError, OSError) as error:
            raise StorageFailed(f"The database could not be purged: {_reason(error)}.") from error
        return not self._unpurged

    def ago(self, seconds: float) -> datetime:
        """The time that many seconds ago, to compare ages with."""
        return datetime.fromtimestamp(self._clock.now() - seconds, UTC)

    def _mark_unpurged(self) -> None:
        self._unpurged = self._url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as db:
                yield db
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            kind = StorageFull if _is_full(error) else StorageFailed
            raise kind(f"The conversation could not be stored: {_reason(error)}.") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A database session for what only one other module asks; its errors become
        `StorageFailed`."""
        try:
            async with self._sessions() as db:
                yield db
        except (SQLAlchemyError, OSError) as error:
            raise StorageFailed(
                f"The conversations could not be read: {_reason(error)}."
            ) from error


def sqlite_url(data_dir: Path) -> str:
    """The embedded default database inside `data_dir`."""
    return f"sqlite+aiosqlite:///{(data_dir / 'conversations.db').resolve()}"


def _read_url(url: str) -> URL:
    """`url` with the driver that this house uses, where it names none."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidInput(
            "DITTO_DATABASE_URL: expected a URL as postgresql://user:password@host/database, came "
            "something else."
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    return parsed if driver is None else parsed.set(drivername=driver)


def _open_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        try:
            return create_async_engine(url, pool_pre_ping=True, hide_parameters=True)
        except (ImportError, ArgumentError, InvalidRequestError) as error:
            raise Unavailable(
                f"The database {url.drivername} cannot be used: {error}. For PostgreSQL: "
                "pip install -e '.[postgres]'."
            ) from error
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"The folder of the database {url.database} cannot be made: {error.strerror}."
            ) from error
    # What people wrote stays out of errors, and so out of the log.
    engine = create_async_engine(
        url, pool_size=_SQLITE_CONNECTIONS, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # With WAL, NORMAL survives a killed process; FULL would also survive a lost power supply
        # at the price of a disk flush before every answer.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # A locked database is waited for 5 s (Python's default; `?timeout=` in the URL changes it).
        # What is removed is overwritten with zeros, instead of staying in free pages.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    return engine


def _upgrade(connection: Any) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_full(error: Exception) -> bool:
    """Whether waiting is of no use: what SQLite says of a full, read-only or broken disk, and
    PostgreSQL's class 53 (insufficient resources)."""
    cause = getattr(error, "orig", None)
    name = str(getattr(cause, "sqlite_errorname", ""))
    state = str(getattr(cause, "sqlstate", "") or "")
    return name.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR")) or state == "53100"


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)


def _session_row(session: StoredSession) -> SessionRow:
    return SessionRow(
        id=session.id,
        token_hash=session.token_hash,
        avatar=session.avatar,
        language=session.language,
        grant=None if session.grant is None else session.grant.as_record(),
    )


def _turn_of(row: TurnRow) -> StoredTurn:
    return StoredTurn(
        row.id,
        row.generation,
        row.kind,
        row.text,
        row.answer,
        row.heard,
        row.state,
        row.client_id,
        row.reason,
        tuple(_clip_of(c) for c in row.clips),
    )


def _clip_of(row: ClipRow) -> Clip:
    return Clip(
        row.name,
        row.index,
        row.text,
        Emotion(row.emotion),
        row.duration,
        row.first_frame,
        row.last_frame,
    )
