"""Keep a second server off a database, unless both share it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ditto_avatar.errors import Unavailable

# A server that stops gives its running answers some seconds; the next one waits for it.
_WAIT_S = 30.0
# Of PostgreSQL's advisory locks these are ours: "ditto" in ASCII, and the two that follow.
_KEY = int.from_bytes(b"ditto")
MIGRATION_KEY = _KEY + 1
SWEEP_KEY = _KEY + 2
_LOCK_NOT_AVAILABLE = "55P03"


class DatabaseLock:
    """Hold a lock for as long as a server runs; a killed server loses it with its process.

    SQLite: a lock on a file beside the database. PostgreSQL: an advisory lock of a connection of
    its own. A PostgreSQL server that restarts forgets it; the next server that starts then gets it.
    """

    def __init__(self, engine: AsyncEngine, *, shared: bool = False) -> None:
        """Keep everybody else off, or with `shared` only those that do not share."""
        self._engine = engine
        self._take = "pg_advisory_lock_shared" if shared else "pg_advisory_lock"
        self._file: int | None = None
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> None:
        """Take the lock. PostgreSQL waits up to 30 s for another server to stop. Raises
        `Unavailable` if one goes on. Cancelling is safe once `release` is called."""
        if not await self._try():
            raise Unavailable(
                "Another server uses this database already. Stop it first, or give this one a "
                "database of its own (DITTO_DATA_DIR or DITTO_DATABASE_URL). Servers that share a "
                "PostgreSQL database all need DITTO_PEER_URL."
            )

    async def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _try(self) -> bool:
        if self._engine.dialect.name == "postgresql":
            return await self._try_postgresql()
        database = self._engine.url.database
        if sys.platform == "win32" or not database or database == ":memory:":
            return True
        return await asyncio.to_thread(self._try_file, Path(f"{database}.lock"))

    def _try_file(self, path: Path) -> bool:
        import fcntl  # not on every system

        if self._file is None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def _try_postgresql(self) -> bool:
        if self._connection is None:
            connection = await self._engine.connect()
            # Outside a transaction, which would stay open for as long as the server runs.
            self._connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await self._connection.execute(text(f"SET lock_timeout = {round(_WAIT_S * 1000)}"))
        try:
            await self._connection.execute(text(f"SELECT {self._take}(:key)"), {"key": _KEY})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                return False
            raise
        return True
