"""Run work that no caller can cancel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class OwnTasks:
    """Run work to its end, even when its callers are cancelled.

    A caller that is cancelled in the middle of a change (a line that breaks, a server that stops)
    would leave half of it done: a row in the database that the memory does not know. Work that
    changes both runs here. Belongs to the event loop.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and wait for its result. Raises what it raises. Cancelling is safe: the work
        goes on without the caller."""
        return await asyncio.shield(self._begin(work))

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` and wait for nothing; `name` says in the log what failed."""
        task = self._begin(work)

        def report(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("%s failed", name, exc_info=error)

        task.add_done_callback(report)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False if something still does after `timeout_s` seconds.
        Cancelling is safe: the work goes on."""
        if not self._tasks:
            return True
        _, running = await asyncio.wait(self._tasks, timeout=timeout_s)
        return not running

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: asyncio need not complain when the caller is gone
