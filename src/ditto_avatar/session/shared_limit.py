"""Limit one visitor at all servers of a database together."""

from __future__ import annotations

from sqlalchemy import text

from ditto_avatar.errors import RateLimited
from ditto_avatar.session.store import Store

# One statement, so that two servers never count from the same value.
_TAKE = text("""
    INSERT INTO allowances AS a (key, tokens, at) VALUES (:key, CAST(:most AS float) - 1, now())
    ON CONFLICT (key) DO UPDATE SET at = now(), tokens = LEAST(
        CAST(:most AS float), a.tokens + EXTRACT(epoch FROM now() - a.at) * :per_second) - 1
    WHERE a.tokens + EXTRACT(epoch FROM now() - a.at) * :per_second >= 1
    RETURNING tokens
""")
# A bucket is full again after a minute.
_FORGET = text("DELETE FROM allowances WHERE at < now() - interval '5 minutes'")


class SharedLimit:
    """Keep a token bucket for each key in the PostgreSQL database that servers share."""

    def __init__(self, store: Store, name: str, per_minute: float, what: str) -> None:
        """Allow `per_minute`, all at once or one by one; `name` tells this limit from others."""
        self._store = store
        self._name = name
        self._per_minute = per_minute
        self._what = what

    async def take(self, key: str) -> None:
        """Count one for `key`. Raises `RateLimited` with the seconds to wait, and `StorageFailed`.
        Cancelling is safe; it may have been counted."""
        values = {
            "key": f"{self._name} {key}"[:128],
            "most": self._per_minute,
            "per_second": self._per_minute / 60,
        }
        async with self._store.writing() as db:
            taken = (await db.execute(_TAKE, values)).first()
        if taken is None:
            seconds = 60 / self._per_minute
            raise RateLimited(f"Too many {self._what}; please wait {seconds:.0f} s.")

    async def forget(self) -> None:
        """Remove the buckets that are full again. Raises `StorageFailed`."""
        async with self._store.writing() as db:
            await db.execute(_FORGET)
