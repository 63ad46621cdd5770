"""Places for performances: so many at once, the rest in line, beyond that refused."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ditto_avatar.errors import Busy

PositionCallback = Callable[[int], None]


class Admission:
    """First come, first served. Cancelling a wait gives up the place in line."""

    def __init__(self, places: int, max_waiting: int) -> None:
        self._places = places
        self._max_waiting = max_waiting
        self._taken = 0
        self._line: deque[tuple[asyncio.Future[None], PositionCallback]] = deque()

    @property
    def speaking(self) -> int:
        """Places taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Turns in line."""
        return len(self._line)

    @asynccontextmanager
    async def place(self, on_position: PositionCallback) -> AsyncIterator[None]:
        """Hold a place inside the block. While in line, `on_position` is told every change, 1 being
        next and 0 the place itself. Raises `Busy` when the line is full."""
        await self._enter(on_position)
        try:
            yield
        finally:
            self._taken -= 1
            self._advance()

    async def _enter(self, on_position: PositionCallback) -> None:
        if self._taken < self._places and not self._line:
            self._taken += 1
            return
        if len(self._line) >= self._max_waiting:
            raise Busy(
                f"All {self._places} places are taken and {self._max_waiting} people wait already."
                " Please try again in a moment."
            )
        turn_came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn_came, on_position)
        self._line.append(entry)
        on_position(len(self._line))
        try:
            await turn_came
        except asyncio.CancelledError:
            if entry in self._line:
                self._line.remove(entry)
                self._tell_positions()
            elif turn_came.done() and not turn_came.cancelled():
                # The place was handed over in the moment of cancellation: pass it on.
                self._taken -= 1
                self._advance()
            raise
        on_position(0)

    def _advance(self) -> None:
        while self._line and self._taken < self._places:
            turn_came, _ = self._line.popleft()
            if not turn_came.done():
                self._taken += 1
                turn_came.set_result(None)
        self._tell_positions()

    def _tell_positions(self) -> None:
        for position, (_, on_position) in enumerate(self._line, start=1):
            on_position(position)
