from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from ditto_avatar.errors import Busy
from ditto_avatar.session.admission import Admission


class Visitor:
    """Takes a place, holds it until `leave`, and notes its positions in line."""

    def __init__(self, admission: Admission) -> None:
        self.positions: list[int] = []
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(admission))

    async def _visit(self, admission: Admission) -> None:
        async with admission.place(self.positions.append):
            self.entered.set()
            await self.leave.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_a_place_never_hears_of_a_line() -> None:
    admission = Admission(2, 5)
    visitor = Visitor(admission)
    await visitor.entered.wait()
    visitor.leave.set()
    await visitor.task
    assert visitor.positions == []
    assert (admission.speaking, admission.waiting) == (0, 0)


async def test_the_line_moves_up_and_is_told() -> None:
    admission = Admission(1, 5)
    visitors = [Visitor(admission) for _ in range(3)]
    await settle()
    assert (admission.speaking, admission.waiting) == (1, 2)
    visitors[0].leave.set()
    await visitors[1].entered.wait()
    assert visitors[1].positions[-1] == 0
    assert visitors[2].positions == [2, 1]
    visitors[1].leave.set()
    visitors[2].leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))
    assert admission.speaking == 0


async def test_a_full_line_refuses_at_once() -> None:
    admission = Admission(1, 1)
    first, second = Visitor(admission), Visitor(admission)
    await settle()
    async with AsyncExitStack() as stack:
        with pytest.raises(Busy, match="1 people wait"):
            await stack.enter_async_context(admission.place(lambda _: None))
    for visitor in (first, second):
        visitor.leave.set()
        await visitor.task


async def test_who_gives_up_waiting_leaves_no_gap() -> None:
    admission = Admission(1, 5)
    visitors = [Visitor(admission) for _ in range(3)]
    await settle()
    visitors[1].task.cancel()
    await asyncio.gather(visitors[1].task, return_exceptions=True)
    assert visitors[2].positions[-1] == 1
    visitors[0].leave.set()
    await visitors[2].entered.wait()
    visitors[2].leave.set()
    await visitors[2].task
    assert (admission.speaking, admission.waiting) == (0, 0)


async def test_a_place_handed_to_somebody_just_cancelled_goes_to_the_next() -> None:
    admission = Admission(1, 5)
    visitors = [Visitor(admission) for _ in range(3)]
    await settle()
    visitors[0].leave.set()
    await visitors[0].task  # hands the place to the second ...
    visitors[1].task.cancel()  # ... which is cancelled before it runs
    await asyncio.gather(visitors[1].task, return_exceptions=True)
    await visitors[2].entered.wait()
    visitors[2].leave.set()
    await visitors[2].task
    assert admission.speaking == 0


async def test_a_failing_performance_gives_its_place_back() -> None:
    admission = Admission(1, 0)
    with pytest.raises(RuntimeError):
        async with admission.place(lambda _: None):
            raise RuntimeError
    assert admission.speaking == 0
