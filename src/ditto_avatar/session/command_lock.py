"""Let the commands of a session in one after the other, while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ditto_avatar.errors import SessionEnded, SessionMoved, ShuttingDown

STOPPING = "The server is stopping; please try again in a moment."


class CommandLock:
    """Hold the lock, and why the session was closed. Belongs to the event loop."""

    def __init__(self, granted: Callable[[], bool]) -> None:
        """`granted` says whether the session may still go on by what it was opened with."""
        self._granted = granted
        self._lock = asyncio.Lock()
        self.closed: str | None = None
        """Why the session was closed; None while it is open."""

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Wait for the command before, and keep the next one waiting inside the block. Raises like
        `check`. Cancelling is safe."""
        async with self._lock:
            self.check()
            yield

    def check(self) -> None:
        """Raise `ShuttingDown`, `SessionMoved` or `SessionEnded` if no command is taken."""
        if self.closed == "shutdown":
            raise ShuttingDown(STOPPING)
        if self.closed == "moved":
            raise SessionMoved("The conversation goes on at another server.")
        if self.closed is not None:
            raise SessionEnded("The session has ended.")
        if not self._granted():
            raise SessionEnded("The time of this session is over.")
