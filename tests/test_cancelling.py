"""The helper that cancels at every wait finds what a careless coroutine would lose."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.cancelling import Moment, cancelled_everywhere


async def two_waits() -> None:
    await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_every_wait_is_cancelled_at_both_moments() -> None:
    seen = [place async for place in cancelled_everywhere(two_waits)]
    assert seen == [(wait, moment) for moment in Moment for wait in range(2)]


async def test_a_result_that_is_dropped_when_it_has_come_is_seen() -> None:
    held: list[int] = []
    loop = asyncio.get_running_loop()

    async def careless() -> None:
        await loop.run_in_executor(None, held.append, 1)
        held.pop()

    lost = {}
    async for _, moment in cancelled_everywhere(careless):
        lost[moment] = len(held)
        held.clear()
    assert lost[Moment.WOKEN] == 1


async def test_a_cancellation_that_is_swallowed_fails() -> None:
    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="was lost"):
        _ = [place async for place in cancelled_everywhere(deaf)]
