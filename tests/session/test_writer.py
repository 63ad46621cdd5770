from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ditto_avatar.errors import SessionEnded, SessionMoved, StorageFailed
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.session.writer import Write, Writer
from tests.fakes.clock import ManualClock


class Database:
    """Stores names, unless it is `down`; each write takes a turn of the loop."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.down = False

    def write(self, name: str) -> Callable[[], Awaitable[None]]:
        async def save() -> None:
            await asyncio.sleep(0)
            if self.down:
                raise StorageFailed("The database does not answer.")
            self.kept.append(name)

        return save


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_writes_are_done_in_their_order_and_told_when_they_are_stored() -> None:
    writer, database = Writer(ManualClock()), Database()
    told: list[list[str]] = []
    for name in "abc":
        writer.put(Write(database.write(name), lambda: told.append(list(database.kept))))
    assert told == []
    assert await writer.drained(5)
    assert told == [["a"], ["a", "b"], ["a", "b", "c"]]


async def test_a_write_that_fails_is_told_and_the_next_one_is_tried() -> None:
    writer, database = Writer(ManualClock()), Database()
    failed: list[Exception] = []
    database.down = True
    writer.put(Write(database.write("a"), failed=failed.append))
    await writer.drained(5)
    database.down = False
    writer.put(Write(database.write("b")))
    await writer.drained(5)
    assert [type(error) for error in failed] == [StorageFailed]
    assert database.kept == ["b"]


async def test_a_write_with_a_key_is_tried_again_until_it_is_stored() -> None:
    clock = ManualClock()
    writer, database = Writer(clock), Database()
    database.down = True
    writer.put(Write(database.write("end"), key="turn"))
    await settle()
    clock.advance(0.6)
    await settle()
    assert (database.kept, writer.unsaved) == ([], 1)
    database.down = False
    clock.advance(1.1)
    await settle()
    assert (database.kept, writer.unsaved) == (["end"], 0)


@pytest.mark.parametrize("gone", [SessionMoved, SessionEnded])
async def test_what_is_tried_again_for_a_session_that_went_elsewhere_is_given_up(
    gone: type[Exception],
) -> None:
    clock, lost = ManualClock(), list[str]()
    writer = Writer(clock, lambda: lost.append("lost"))
    outcomes = iter([StorageFailed("The database does not answer."), gone("It is gone.")])

    async def save() -> None:
        raise next(outcomes)

    writer.put(Write(save, key="turn"))
    await settle()
    assert (lost, writer.unsaved) == ([], 1)
    clock.advance(0.6)
    await settle()
    assert (lost, writer.unsaved) == (["lost"], 0)
    assert await writer.drained(5)


async def test_what_could_not_be_stored_is_tried_again_before_what_comes_next() -> None:
    writer, database = Writer(ManualClock()), Database()
    database.down = True
    writer.put(Write(database.write("old"), key="old"))
    await settle()
    database.down = False
    writer.put(Write(database.write("new"), key="new"))
    await settle()
    assert database.kept == ["old", "new"]


async def test_a_newer_write_of_the_same_key_takes_the_place_of_the_older() -> None:
    writer, database = Writer(ManualClock()), Database()
    database.down = True
    for part in ("half", "whole"):
        writer.put(Write(database.write(part), key="turn"))
        await settle()
    assert writer.unsaved == 1
    database.down = False
    await writer.close(5)
    assert database.kept == ["whole"]


async def test_closing_tries_once_more() -> None:
    writer, database = Writer(ManualClock()), Database()
    database.down = True
    writer.put(Write(database.write("end"), key="turn"))
    await settle()
    database.down = False
    await writer.close(5)
    assert database.kept == ["end"]


async def test_a_bug_in_one_write_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    writer, database = Writer(ManualClock()), Database()

    def bug() -> None:
        raise RuntimeError

    writer.put(Write(database.write("a"), bug))
    writer.put(Write(database.write("b")))
    assert await writer.drained(5)
    assert database.kept == ["a", "b"]
    assert "writer failed" in caplog.text


async def test_a_cancelled_caller_leaves_the_write_to_be_done() -> None:
    for steps in range(8):
        writer, database = Writer(ManualClock()), Database()
        caller = asyncio.create_task(writer.run(database.write("a")))
        for _ in range(steps):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await writer.run(database.write("b"))
        assert database.kept in (["a", "b"], ["b"] if steps == 0 else ["a", "b"])


async def test_work_goes_on_without_its_caller() -> None:
    tasks, finished = OwnTasks(), asyncio.Event()

    async def work() -> str:
        await asyncio.sleep(0)
        finished.set()
        return "done"

    caller = asyncio.create_task(tasks.finish(work()))
    await asyncio.sleep(0)
    caller.cancel()
    assert await tasks.drained(5)
    assert finished.is_set()
    assert await tasks.finish(work()) == "done"


async def test_work_that_fails_without_a_caller_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = OwnTasks()

    async def work() -> None:
        raise OSError("no such folder")

    tasks.start(work(), "cleaning")
    await tasks.drained(5)
    await asyncio.sleep(0)
    assert "cleaning failed" in caplog.text
