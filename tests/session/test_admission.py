from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from ditto_avatar.errors import Busy
from ditto_avatar.session.admission import Admission, Claim
from ditto_avatar.session.limits import Share
from tests.deadlines import TEST_DEADLINE_S


class Visitor:
    """Takes a place, holds it until `leave`, and notes its positions in line."""

    def __init__(self, admission: Admission, address: str = "here") -> None:
        self.positions: list[int] = []
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.watched = True
        self.claim = Claim(address, lambda: self.watched, self.positions.append, self.leave.set)
        self.task = asyncio.create_task(self._visit(admission))

    async def _visit(self, admission: Admission) -> None:
        async with admission.place(self.claim):
            self.entered.set()
            await self.leave.wait()


async def end(*visitors: Visitor) -> None:
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(v.task for v in visitors), return_exceptions=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_a_place_never_hears_of_a_line() -> None:
    admission = Admission(2, 5, Share(1))
    visitor = Visitor(admission)
    await visitor.entered.wait()
    visitor.leave.set()
    await visitor.task
    assert visitor.positions == []
    assert (admission.speaking, admission.waiting) == (0, 0)


async def test_the_line_moves_up_and_is_told() -> None:
    admission = Admission(1, 5, Share(1))
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
    admission = Admission(1, 1, Share(1))
    first, second = Visitor(admission), Visitor(admission)
    await settle()
    async with AsyncExitStack() as stack:
        with pytest.raises(Busy, match="1 people wait"):
            await stack.enter_async_context(admission.place(first.claim))
    for visitor in (first, second):
        visitor.leave.set()
        await visitor.task


async def test_who_gives_up_waiting_leaves_no_gap() -> None:
    admission = Admission(1, 5, Share(1))
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
    admission = Admission(1, 5, Share(1))
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


async def test_a_turn_that_fails_gives_its_place_back() -> None:
    admission = Admission(1, 0, Share(1))
    with pytest.raises(RuntimeError):
        async with admission.place(Claim("here", lambda: True, lambda _: None, lambda: None)):
            raise RuntimeError
    assert admission.speaking == 0


async def test_one_address_leaves_a_place_and_room_in_line_for_others() -> None:
    admission = Admission(4, 4, Share(0.5))
    mine = [Visitor(admission, "me") for _ in range(6)]
    await settle()
    assert (admission.speaking, admission.waiting) == (2, 2)
    refused = [v for v in mine if v.task.done()]
    assert len(refused) == 2
    for visitor in refused:
        with pytest.raises(Busy, match="2 of your messages"):
            await visitor.task
    other = Visitor(admission, "you")
    await other.entered.wait()
    assert other.positions == []
    await end(*mine, other)


async def test_the_machine_itself_may_take_all() -> None:
    admission = Admission(4, 4, Share(0.5))
    mine = [Visitor(admission, "127.0.0.1") for _ in range(4)]
    await settle()
    assert admission.speaking == 4
    await end(*mine)


async def test_places_go_round_the_addresses() -> None:
    admission = Admission(2, 8, Share(0.9))
    first = Visitor(admission, "a")
    await first.entered.wait()
    other = Visitor(admission, "b")
    await other.entered.wait()
    line = [Visitor(admission, address) for address in ("a", "a", "c")]
    await settle()
    assert [v.positions[-1] for v in line] == [2, 3, 1]
    other.leave.set()
    await line[2].entered.wait()
    assert not line[0].entered.is_set()
    await end(first, *line)


async def test_a_watched_turn_goes_before_an_unwatched_one() -> None:
    admission = Admission(1, 8, Share(1))
    first = Visitor(admission)
    await first.entered.wait()
    left, stays = Visitor(admission), Visitor(admission)
    left.watched = False
    await settle()
    first.leave.set()
    await stays.entered.wait()
    assert not left.entered.is_set()
    await end(first, left, stays)


async def test_a_full_line_puts_an_unwatched_turn_out_for_a_watched_one() -> None:
    admission = Admission(1, 1, Share(1))
    first, left = Visitor(admission), Visitor(admission)
    await settle()
    left.watched = False
    stays = Visitor(admission)
    await settle()
    with pytest.raises(Busy):
        await left.task
    assert left.positions == [1]
    first.leave.set()
    await stays.entered.wait()
    await end(first, stays)


async def test_a_running_turn_that_nobody_watches_gives_way() -> None:
    admission = Admission(2, 4, Share(1))
    left, stays = Visitor(admission), Visitor(admission)
    await settle()
    left.watched = False
    new = Visitor(admission)
    await new.entered.wait()
    assert left.leave.is_set()
    assert not stays.leave.is_set()
    await end(left, stays, new)
    assert (admission.speaking, admission.waiting) == (0, 0)


async def test_nobody_gives_way_to_a_turn_that_nobody_watches() -> None:
    admission = Admission(1, 4, Share(1))
    left, other = Visitor(admission), Visitor(admission)
    left.watched = other.watched = False
    await settle()
    assert not left.leave.is_set()
    assert not other.entered.is_set()
    await end(left, other)


async def test_a_wait_cancelled_at_any_moment_leaves_no_gap() -> None:
    for steps in range(8):
        admission = Admission(1, 4, Share(1))
        first, second = Visitor(admission), Visitor(admission)
        first.leave.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        second.task.cancel()
        third = Visitor(admission)
        await asyncio.wait_for(third.entered.wait(), TEST_DEADLINE_S)
        await end(first, second, third)
        assert (admission.speaking, admission.waiting) == (0, 0)
