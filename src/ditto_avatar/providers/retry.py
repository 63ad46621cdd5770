"""Second attempts at a service, before it has given anything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.errors import ProviderFailed

T = TypeVar("T")


class Transient(ProviderFailed):
    """A failure that may pass: the service is busy, stumbled or did not answer in time.
    `retry_after_s` is what the service asked for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Retries:
    """Tries up to `attempts` times, waiting longer each time with full jitter (the wait is drawn
    from 0 to ``first_wait_s * 2**n``). A service that asks for more than `longest_wait_s` is not
    waited for: a person is."""

    def __init__(
        self,
        attempts: int = 3,
        *,
        first_wait_s: float = 0.4,
        longest_wait_s: float = 3.0,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the first attempt that succeeds. Raises the last one's error, or at once
        whatever is not `Transient`."""
        for number in range(1, self._attempts):
            try:
                return await attempt()
            except Transient as error:
                wait = self._wait(number, error.retry_after_s)
                if wait is None:
                    raise
                await self._clock.sleep_until(self._clock.now() + wait)
        return await attempt()

    def _wait(self, number: int, asked_s: float | None) -> float | None:
        if asked_s is not None and asked_s > self._longest_wait_s:
            return None
        drawn = self._chance.uniform(0, self._first_wait_s * 2 ** (number - 1))
        return min(max(drawn, asked_s or 0.0), self._longest_wait_s)


async def before_deadline(work: Awaitable[T], seconds: float, late: str) -> T:
    """What `work` gives within `seconds`; `Transient` with the sentence `late` otherwise."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Transient(late) from None
