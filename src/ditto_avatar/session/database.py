"""Connect to the database of the conversations: SQLite in WAL mode, or PostgreSQL by URL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event, select, text, update
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

from ditto_avatar.clock import AgeClock
from ditto_avatar.errors import InvalidInput, StorageFailed, StorageFull, Unavailable
from ditto_avatar.session.database_lock import MIGRATION_KEY, SWEEP_KEY, DatabaseLock
from ditto_avatar.session.schema import SessionRow, TurnRow
from ditto_avatar.session.stored import INTERRUPTED, RUNNING

# SQLite lets one connection write at a time; a second one reads meanwhile. Each is a thread.
_SQLITE_CONNECTIONS = 2
# Purging blocks all writes, so it waits only briefly for readers.
_PURGE_TIMEOUT_MS = 250
# Drivers that do not hold up the event loop, for URLs that name none.
_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg",
            "sqlite": "sqlite+aiosqlite"}  # fmt: skip


class Database:
    """Open the connections to one database, migrate its schema, and translate its errors.

    Every method raises `StorageFull` when nothing can be written and `StorageFailed` when the
    database does not answer; the constructor raises `InvalidInput` or `Unavailable` for a URL that
    leads nowhere. Cancelling a read is safe.
    """

    def __init__(self, url: str, clock: AgeClock | None = None, *, shared: bool = False) -> None:
        """Take the database alone, or `shared` with other servers, which needs PostgreSQL."""
        self.server_id = secrets.token_hex(16)
        """The name of this server among those that share the database."""
        self.shared = shared
        self._url = _read_url(url)
        if shared and self._url.get_backend_name() != "postgresql":
            raise InvalidInput(
                "DITTO_PEER_URL: expected a PostgreSQL database in DITTO_DATABASE_URL, which "
                f"several servers can share, came {self._url.get_backend_name()}. SQLite serves "
                "one server alone."
            )
        self._engine = _open_engine(self._url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._lock = DatabaseLock(self._engine, shared=shared)
        self._clock = clock or AgeClock()
        # A process that was killed may have removed rows without purging the log.
        self._unpurged = self._url.get_backend_name() == "sqlite"

    async def start(self) -> int:
        """Bring the schema up to date and mark what a killed process left running as
        interrupted; how many turns that were. Servers that share a database migrate it one after
        the other, and leave the marking to the one that takes a session over. Raises `Unavailable`
        if the database cannot be reached, if a newer version has changed it, or if a server uses
        it that does not share it."""
        try:
            await self._lock.acquire()
            async with self._engine.begin() as connection:
                if self._url.get_backend_name() == "postgresql":
                    await connection.execute(
                        text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_KEY}
                    )
                await connection.run_sync(_upgrade)
            if self.shared:
                return 0
            async with self._sessions.begin() as db:
                left = await db.execute(
                    update(TurnRow).where(TurnRow.state == RUNNING).values(state=INTERRUPTED)
                )
                return int(getattr(left, "rowcount", 0))
        except (SQLAlchemyError, OSError) as error:
            raise self._unusable(error) from error
        except CommandError as error:  # a step of the schema that is not known here
            raise Unavailable(
                f"The database {self._shown} belongs to a newer version of Ditto Avatar. Use that "
                "version, or restore a backup of an older one."
            ) from error

    async def check(self) -> str:
        """Connect and return a sentence that names the database, without its password. Raises
        `Unavailable` like `start`, and changes nothing."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(select(1))
        except (DBAPIError, OSError) as error:
            raise self._unusable(error) from error
        return f"{self._shown} answers"

    async def check_writable(self) -> None:
        """Ask for the right to write and change nothing. Raises `StorageFull`."""
        async with self.writing() as db:
            await db.execute(
                update(SessionRow).where(SessionRow.id == "").values(used_at=SessionRow.used_at)
            )

    @property
    def _shown(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def _unusable(self, error: Exception) -> Unavailable:
        return Unavailable(f"The database {self._shown} cannot be used: {reason_of(error)}.")

    async def close(self) -> None:
        """Close all connections."""
        await self._lock.release()
        await self._engine.dispose()

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
            raise StorageFailed(f"The database could not be purged: {reason_of(error)}.") from error
        return not self._unpurged

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[bool]:
        """Hold the right to clean up what servers share inside the block; False if another server
        has it at the moment. Raises `StorageFailed`. Cancelling is safe."""
        if not self.shared:
            yield True
            return
        try:
            async with self._engine.connect() as connection:
                # Held by the transaction, which ends with the connection whatever happens.
                mine = text("SELECT pg_try_advisory_xact_lock(:key)")
                yield bool((await connection.execute(mine, {"key": SWEEP_KEY})).scalar_one())
        except (SQLAlchemyError, OSError) as error:
            raise StorageFailed(f"The database does not answer: {reason_of(error)}.") from error

    def ago(self, seconds: float) -> datetime:
        """Return the time that many seconds ago, to compare ages with."""
        return datetime.fromtimestamp(self._clock.now() - seconds, UTC)

    def mark_unpurged(self) -> None:
        """Note that rows were removed: `purge` then has work to do."""
        self._unpurged = self._url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Open a database session and commit it at the end of the block. A broken constraint stays
        SQLAlchemy's `IntegrityError`; other errors become `StorageFull` or `StorageFailed`."""
        try:
            async with self._sessions.begin() as db:
                yield db
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            kind = StorageFull if _is_full(error) else StorageFailed
            raise kind(f"The conversation could not be stored: {reason_of(error)}.") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a database session that only reads. Errors become `StorageFailed`."""
        try:
            async with self._sessions() as db:
                yield db
        except (SQLAlchemyError, OSError) as error:
            raise StorageFailed(
                f"The conversations could not be read: {reason_of(error)}."
            ) from error


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the embedded default database inside `data_dir`."""
    return f"sqlite+aiosqlite:///{(data_dir / 'conversations.db').resolve()}"


def _read_url(url: str) -> URL:
    """`url` with an asynchronous driver, where it names none."""
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
    # Visitors' texts stay out of errors, and so out of the log.
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
    """Return whether waiting is of no use: SQLite's errors of a full, read-only or broken disk, and
    PostgreSQL's class 53 (insufficient resources)."""
    cause = getattr(error, "orig", None)
    name = str(getattr(cause, "sqlite_errorname", ""))
    state = str(getattr(cause, "sqlstate", "") or "")
    return name.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR")) or state == "53100"


def reason_of(error: Exception) -> str:
    """Return what the database driver says of an error, in one line."""
    return str(getattr(error, "orig", None) or error)
