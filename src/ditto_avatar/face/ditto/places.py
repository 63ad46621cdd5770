"""Places for streams, in the order in which they were asked for."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """At most `limit` places are taken (None: any number). Belongs to the event loop."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int | None:
        """How many there are. When it falls, those who have a place keep it."""
        return self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._limit = limit
        self._advance()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    async def take(self) -> None:
        """Wait in line for a place. Cancelling is safe: a place that was handed over meanwhile
        goes to the next."""
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(came)
        self._advance()
        try:
            await came
        except asyncio.CancelledError:
            if came.done() and not came.cancelled():
                self.give_back()
            else:
                self._line.remove(came)
            raise

    def give_back(self) -> None:
        """End a place."""
        self._taken -= 1
        self._advance()

    def _advance(self) -> None:
        while self._line and (self._limit is None or self._taken < self._limit):
            self._taken += 1
            self._line.popleft().set_result(None)
