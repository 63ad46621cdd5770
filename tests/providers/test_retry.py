"""A service gets a second chance, but never a person's patience."""

from __future__ import annotations

import asyncio
import random

import pytest

from ditto_avatar.errors import ProviderFailed
from ditto_avatar.providers.retry import Retries, Transient, before_deadline
from tests.fakes.clock import ManualClock


class NoWaiting:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    async def sleep_until(self, when: float) -> None:
        self.slept.append(when)


class Attempts:
    """Raises the errors in turn, then gives 42."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0

    async def __call__(self) -> int:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42


def retries(clock: NoWaiting, attempts: int = 3) -> Retries:
    return Retries(attempts, clock=clock, chance=random.Random(1))


async def test_what_passes_is_tried_again() -> None:
    clock = NoWaiting()
    attempts = Attempts(Transient("one"), Transient("two"))
    assert await retries(clock).run(attempts) == 42
    assert attempts.made == 3
    assert len(clock.slept) == 2


async def test_what_does_not_pass_is_raised_at_once() -> None:
    attempts = Attempts(ProviderFailed("no"))
    with pytest.raises(ProviderFailed, match="no"):
        await retries(NoWaiting()).run(attempts)
    assert attempts.made == 1


async def test_the_last_failure_is_raised() -> None:
    attempts = Attempts(Transient("one"), Transient("two"), Transient("three"))
    with pytest.raises(Transient, match="three"):
        await retries(NoWaiting()).run(attempts)


async def test_the_wait_is_at_least_what_the_service_asks_for() -> None:
    clock = NoWaiting()
    await retries(clock).run(Attempts(Transient("busy", 1.5)))
    assert clock.slept == [1.5]


async def test_a_service_that_asks_for_long_is_given_up() -> None:
    attempts = Attempts(Transient("busy", 30.0))
    with pytest.raises(Transient):
        await retries(NoWaiting()).run(attempts)
    assert attempts.made == 1


async def test_two_viewers_do_not_wait_for_the_same_time() -> None:
    waits = set()
    for seed in range(5):
        clock = NoWaiting()
        await Retries(clock=clock, chance=random.Random(seed)).run(Attempts(Transient("x")))
        waits.update(clock.slept)
    assert len(waits) == 5


async def test_a_deadline_is_told_in_its_own_sentence() -> None:
    with pytest.raises(Transient, match="too late"):
        await before_deadline(asyncio.Event().wait(), 0.01, "too late")


async def test_the_deadline_is_for_all_attempts_together() -> None:
    clock = ManualClock()
    begun: list[float] = []

    async def mute() -> None:
        begun.append(clock.now())
        await asyncio.Event().wait()

    task = asyncio.create_task(
        Retries(3, clock=clock).run(mute, within_s=1.0, late="It said nothing.")
    )
    await asyncio.sleep(0)
    clock.advance(0.9)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(0.1)
    with pytest.raises(Transient, match="It said nothing"):
        await task
    assert begun == [100.0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_attempt_is_waited_for_that_would_come_too_late() -> None:
    clock = ManualClock()
    attempts = Attempts(Transient("busy", 2.0))
    with pytest.raises(Transient, match="busy"):
        await Retries(3, clock=clock).run(attempts, within_s=1.5)
    assert attempts.made == 1


async def test_a_timeout_of_the_attempt_itself_is_not_taken_for_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        await Retries(3, clock=ManualClock()).run(Attempts(TimeoutError()), within_s=1.0)


async def test_cancelling_leaves_nothing_behind() -> None:
    clock = ManualClock()

    async def mute() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(Retries(3, clock=clock).run(mute, within_s=1.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
