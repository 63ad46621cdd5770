"""Cancels a coroutine at every place where it waits: whatever it held must be free afterwards."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from enum import Enum, auto
from typing import Any, TypeVar

T = TypeVar("T")


class Moment(Enum):
    """When a wait is cancelled: as it begins, or when its result has just come and the coroutine
    has not gone on yet (a result that is dropped there is a resource lost)."""

    WAITING = auto()
    WOKEN = auto()


async def cancelled_everywhere(
    make: Callable[[], Coroutine[Any, Any, object]], *, at_most: int = 500
) -> AsyncIterator[tuple[int, Moment]]:
    """Run `make()` again and again, each time cancelled one wait later, until it runs to its end;
    yields after each cancellation, for the caller to look at what is left.

    Waits are counted where the coroutine itself is suspended: a task that it started is no wait
    of its own. Fails when `make()` swallows a cancellation, or waits more than `at_most` times.
    """
    for moment in Moment:
        for wait in range(at_most):
            task = asyncio.create_task(_run(make(), wait, moment))
            await asyncio.wait([task])
            if not task.cancelled():
                assert not task.result(), f"the cancellation at wait {wait} ({moment}) was lost"
                break
            yield wait, moment
        else:
            raise AssertionError(f"more than {at_most} waits")


async def _run(work: Coroutine[Any, Any, object], wait: int, moment: Moment) -> bool:
    """Whether the cancellation was asked for."""
    asked = False

    def cancel() -> None:
        nonlocal asked
        asked = True
        assert task is not None
        task.cancel()

    task = asyncio.current_task()
    await _counted(work, wait, moment, cancel)
    return asked


@types.coroutine
def _counted(
    work: Coroutine[Any, Any, T], wait: int, moment: Moment, cancel: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Pass on everything that `work` waits for; call `cancel` at the wait of number `wait`."""
    passed, sent = 0, None
    thrown: BaseException | None = None
    while True:
        try:
            waited_for = work.send(sent) if thrown is None else work.throw(thrown)
        except StopIteration as end:
            value: T = end.value
            return value
        if passed == wait:
            if moment is Moment.WOKEN and waited_for is not None:
                # Before the task's own callback: it is woken, and finds itself cancelled.
                waited_for.add_done_callback(lambda _: cancel())
            else:
                cancel()
        passed += 1
        thrown = None
        try:
            sent = yield waited_for
        except BaseException as error:
            thrown = error
