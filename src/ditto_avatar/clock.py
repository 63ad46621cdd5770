"""Tell the time; injected so that tests need not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Count seconds that only go forward, and wait for them."""

    def now(self) -> float:
        """Return seconds since an arbitrary start."""

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`; at once when it has passed."""


async def wait_until(event: asyncio.Event, clock: Clock, when: float) -> bool:
    """Wait for `event`, at most until `clock` reads `when`; return whether it is set. Cancelling is
    safe."""
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep_until(when))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return event.is_set()


class SystemClock:
    """Read the machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))


class AgeClock:
    """Read the time of day by which ages of stored things are counted, in seconds since 1970.

    It follows the system's clock, but never runs ahead of what passed since this process began:
    a clock that is set two days forward would make everything two days older at once, and sweeps
    would remove what is new. Until the next start such a jump keeps things longer instead.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed or _elapsed
        self._offset = wall() - self._elapsed()

    def now(self) -> float:
        """Return seconds since 1970, as files and rows carry them."""
        return min(self._wall(), self._offset + self._elapsed())


def _elapsed() -> float:
    """Seconds since the machine started, those it slept included where the system counts them."""
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
