"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio

from tests.deadlines import TEST_DEADLINE_S


class ManualClock:
    """Starts at 100 s. A sleeper wakes when `advance` passes its time."""

    def __init__(self) -> None:
        self._now = 100.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._fell_asleep = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((when, woken))
        self._fell_asleep.set()
        await woken

    async def until_sleeping(self, count: int) -> None:
        """Return once `count` sleep at the same time."""
        async with asyncio.timeout(TEST_DEADLINE_S):
            while self.sleepers < count:
                self._fell_asleep.clear()
                await self._fell_asleep.wait()

    @property
    def sleepers(self) -> int:
        return sum(not woken.done() for _, woken in self._sleepers)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for when, woken in self._sleepers:
            if when <= self._now and not woken.done():
                woken.set_result(None)
