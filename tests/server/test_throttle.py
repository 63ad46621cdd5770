"""Shares and pace."""

from __future__ import annotations

import asyncio

from ditto_avatar.server.throttle import Shares, Throttle
from tests.fakes.clock import ManualClock


def test_each_holder_has_its_own_share() -> None:
    shares = Shares(2)
    assert [shares.take("a"), shares.take("a"), shares.take("a"), shares.take("b")] == [
        True,
        True,
        False,
        True,
    ]
    shares.give_back("a")
    assert shares.take("a")


def test_holders_of_nothing_are_forgotten() -> None:
    shares = Shares(2)
    shares.take("a")
    shares.give_back("a")
    assert len(shares) == 0


async def test_a_burst_passes_and_what_follows_waits_its_turn() -> None:
    clock = ManualClock()
    throttle = Throttle(per_second=10, burst=3, clock=clock)
    for _ in range(3):
        await throttle.wait("a")
    waiting = [asyncio.create_task(throttle.wait("a")) for _ in range(2)]
    await asyncio.sleep(0)
    assert clock.sleepers == 2
    clock.advance(0.1001)
    await waiting[0]
    assert not waiting[1].done()
    clock.advance(0.1)
    await waiting[1]


async def test_a_busy_sender_keeps_nobody_else_waiting() -> None:
    clock = ManualClock()
    throttle = Throttle(per_second=10, burst=1, clock=clock)
    await throttle.wait("a")
    waiting = asyncio.create_task(throttle.wait("a"))
    await throttle.wait("b")
    assert not waiting.done()
    clock.advance(1)
    await waiting


async def test_after_a_pause_a_burst_passes_again() -> None:
    clock = ManualClock()
    throttle = Throttle(per_second=10, burst=5, clock=clock)
    for _ in range(3):
        for _ in range(5):
            await throttle.wait("a")
        clock.advance(10)
    assert clock.sleepers == 0


async def test_what_was_dearer_than_a_message_is_waited_for_as_well() -> None:
    clock = ManualClock()
    throttle = Throttle(per_second=10, burst=1, clock=clock)
    await throttle.wait("a")
    throttle.charge("a", 3)
    waiting = asyncio.create_task(throttle.wait("a"))
    await throttle.wait("b")
    clock.advance(0.35)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.1)
    await waiting
