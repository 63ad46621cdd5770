"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio


class ManualClock:
    """Starts at 100 s. Whoever sleeps wakes when `advance` passes its time."""

    def __init__(self) -> None:
        self._now = 100.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((when, woken))
        await woken

    @property
    def sleepers(self) -> int:
        return sum(not woken.done() for _, woken in self._sleepers)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for when, woken in self._sleepers:
            if when <= self._now and not woken.done():
                woken.set_result(None)
