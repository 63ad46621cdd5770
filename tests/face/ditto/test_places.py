"""Places for streams, whose number changes."""

from __future__ import annotations

import asyncio

import pytest

from ditto_avatar.face.ditto.places import Places


async def _begun(places: Places) -> asyncio.Task[None]:
    task = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_any_number_is_taken_where_there_is_no_limit() -> None:
    places = Places(None)
    for _ in range(100):
        await places.take()


async def test_a_higher_limit_lets_those_in_line_in_by_their_turn() -> None:
    places = Places(1)
    tasks = [await _begun(places) for _ in range(4)]
    assert [task.done() for task in tasks] == [True, False, False, False]
    places.limit = 3
    await asyncio.wait(tasks[:3])
    assert [task.done() for task in tasks] == [True, True, True, False]
    places.give_back()
    await tasks[3]


async def test_a_lower_limit_takes_nobodys_place_and_gives_none_out() -> None:
    places = Places(3)
    for _ in range(3):
        await places.take()
    places.limit = 1
    waiting = await _begun(places)
    for _ in range(2):
        places.give_back()
        await asyncio.sleep(0)
        assert not waiting.done()
    places.give_back()
    await waiting


@pytest.mark.parametrize("handed_over", [False, True])
async def test_who_is_cancelled_keeps_no_place(handed_over: bool) -> None:
    places = Places(1)
    await places.take()
    waiting = await _begun(places)
    if handed_over:
        places.give_back()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    if not handed_over:
        places.give_back()
    await places.take()
