"""The thread that keeps a device busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from ditto_avatar.face.ditto.device_thread import Asked, DeviceThread, Results
from ditto_avatar.face.ditto.scheduler import Backlog, Job, Kind
from tests.deadlines import TEST_DEADLINE_S


class Device:
    """Begins at once, and is done with a batch when `done` is set; says what was begun."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.done = threading.Event()
        self.changed = threading.Condition()

    def begin(self, works: Sequence[str]) -> Results:
        with self.changed:
            self.begun.append(list(works))
            self.changed.notify_all()
        if "broken" in works:
            raise RuntimeError("the device broke")

        def results() -> list[str]:
            assert self.done.wait(TEST_DEADLINE_S)
            if "lost" in works:
                raise RuntimeError("the result is lost")
            return [work.upper() for work in works]

        return results

    async def until_begun(self, count: int) -> None:
        def wait() -> None:
            with self.changed:
                assert self.changed.wait_for(lambda: len(self.begun) >= count, TEST_DEADLINE_S)

        await asyncio.to_thread(wait)


def asking(thread: DeviceThread) -> Callable[..., asyncio.Future[str]]:
    def ask(work: str, owner: int = 0, deadline: float = 0.0) -> asyncio.Future[str]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        thread.add(Job(Kind.FRAME, owner, deadline, Asked(work, deadline, answer)))
        return answer

    return ask


def thread_of(device: Device, answered: list[str] | None = None) -> DeviceThread:
    seen = [] if answered is None else answered
    return DeviceThread(
        Backlog({Kind.FRAME: (1, 2)}),
        device.begin,
        lambda asked, _: seen.append(asked.work),
        lambda: 0.0,
        lambda: None,
        overlaps=True,
    )


async def test_one_batch_is_begun_while_another_is_on_the_device_and_no_third() -> None:
    device, answered = Device(), list[str]()
    thread = thread_of(device, answered)
    ask = asking(thread)
    answers = [ask(work) for work in "abcde"]
    await device.until_begun(2)
    assert len(device.begun) == 2
    device.done.set()
    assert await asyncio.gather(*answers) == list("ABCDE")
    assert sorted(answered) == list("abcde")
    assert sum(map(len, device.begun)) == 5
    assert thread.counts[Kind.FRAME].jobs == 5
    await thread.close()


@pytest.mark.parametrize("broken", ["broken", "lost"])
async def test_an_error_reaches_those_of_its_batch_and_the_thread_goes_on(broken: str) -> None:
    device = Device()
    device.done.set()
    thread = thread_of(device)
    ask = asking(thread)
    with pytest.raises(RuntimeError):
        await ask(broken)
    assert await ask("next") == "NEXT"
    await thread.close()


async def test_who_left_is_not_drawn_for() -> None:
    device = Device()
    thread = thread_of(device)
    ask = asking(thread)
    first = [ask(work, owner=1) for work in ("a", "b")]
    await device.until_begun(1)
    gone = [ask(work, owner=2) for work in ("x", "y")]
    thread.drop(2)
    device.done.set()
    await asyncio.gather(*first)
    assert all(answer.cancelled() for answer in gone)
    assert "x" not in {work for batch in device.begun[1:] for work in batch if batch != ["x", "y"]}
    await thread.close()


async def test_closing_cancels_what_waits_and_ends_the_thread() -> None:
    device = Device()
    thread = thread_of(device)
    ask = asking(thread)
    answers = [ask(work) for work in "abcdef"]
    await device.until_begun(2)
    closing = asyncio.create_task(thread.close())
    await asyncio.wait(answers[-1:], timeout=TEST_DEADLINE_S)
    device.done.set()
    await closing
    assert answers[-1].cancelled()
    assert await answers[0] == "A"
    assert ask("late").cancelled()


async def test_a_call_is_done_between_two_batches() -> None:
    device = Device()
    device.done.set()
    thread = thread_of(device)
    ask, order = asking(thread), list[str]()
    inside, go_on = threading.Event(), threading.Event()

    def call() -> int:
        order.append(threading.current_thread().name)
        inside.set()
        assert go_on.wait(TEST_DEADLINE_S)
        return len(device.begun)

    answer = thread.do(call)
    await asyncio.to_thread(inside.wait, TEST_DEADLINE_S)
    waiting = [ask(work) for work in "abc"]
    go_on.set()
    assert await asyncio.wrap_future(answer) == 0
    assert await asyncio.gather(*waiting) == ["A", "B", "C"]
    assert order == ["ditto"]
    await thread.close()


async def test_a_call_that_fails_costs_its_caller_alone() -> None:
    device = Device()
    device.done.set()
    thread = thread_of(device)

    def broken() -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        await asyncio.wrap_future(thread.do(broken))
    assert await asking(thread)("a") == "A"
    await thread.close()


async def test_calls_that_were_not_begun_are_cancelled_at_the_end() -> None:
    thread = thread_of(Device())
    inside, go_on = threading.Event(), threading.Event()

    def call() -> bool:
        inside.set()
        return go_on.wait(TEST_DEADLINE_S)

    first = thread.do(call)
    await asyncio.to_thread(inside.wait, TEST_DEADLINE_S)
    second = thread.do(call)
    closing = asyncio.create_task(thread.close())
    await asyncio.wait([asyncio.wrap_future(second)])
    assert second.cancelled()
    go_on.set()
    await closing
    assert first.result()
    assert thread.do(call).cancelled()
