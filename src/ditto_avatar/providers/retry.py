"""Try a service again before it has given anything, within the time for all attempts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
    """Try up to `attempts` times, waiting longer each time with full jitter (the wait is drawn
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

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        within_s: float | None = None,
        late: str = "The service did not answer in time.",
    ) -> T:
        """Return the result of the first attempt that succeeds.

        `within_s` is the time for all attempts and the waits between them: a person waits for
        the answer, not for an attempt. Raises the last attempt's error, at once anything that is
        not `Transient`, and `Transient` with the sentence `late` when the time is over. Cancelling
        is safe as far as it is for `attempt`.
        """
        if within_s is None:
            return await self._run(attempt, None)
        end = self._clock.now() + within_s
        async with _deadline(self._clock, end, late):
            return await self._run(attempt, end)

    async def _run(self, attempt: Callable[[], Awaitable[T]], end: float | None) -> T:
        for number in range(1, self._attempts):
            try:
                return await attempt()
            except Transient as error:
                wait = self._wait(number, error.retry_after_s)
                again = None if wait is None else self._clock.now() + wait
                if again is None or (end is not None and again >= end):
                    raise
                await self._clock.sleep_until(again)
        return await attempt()

    def _wait(self, number: int, asked_s: float | None) -> float | None:
        if asked_s is not None and asked_s > self._longest_wait_s:
            return None
        drawn = self._chance.uniform(0, self._first_wait_s * 2 ** (number - 1))
        return min(max(drawn, asked_s or 0.0), self._longest_wait_s)


async def before_deadline(work: Awaitable[T], seconds: float, late: str) -> T:
    """Return what `work` gives within `seconds`. Raises `Transient` with the sentence `late`
    otherwise. Cancelling is safe as far as it is for `work`."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Transient(late) from None


@asynccontextmanager
async def _deadline(clock: Clock, end: float, late: str) -> AsyncIterator[None]:
    """Cancel the block at the time `end` of `clock`, and raise `Transient` with the sentence
    `late` then. Cancelling is safe: nothing is left behind."""

    async def expire() -> None:
        await clock.sleep_until(end)
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(None) as limit:
            expiring = asyncio.create_task(expire())
            try:
                yield
            finally:
                expiring.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise Transient(late) from None
