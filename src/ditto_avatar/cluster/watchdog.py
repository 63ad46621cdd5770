"""End the call of a worker that is gone, or that does not do what it owes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from ditto_avatar.cluster.fleet import KnownWorker


class Lost(Exception):
    """The worker is gone, or of no use for this call; another one may go on."""


class Watchdog:
    """Cancel `call` when `worker` falls silent, or when something was `owing` for `stuck_s` seconds
    and nothing came. One timer a call, however many messages come. Use it as a context manager."""

    def __init__(
        self, worker: KnownWorker, call: Any, owing: Callable[[], bool], stuck_s: float
    ) -> None:
        self._worker = worker
        self._call = call
        self._owing = owing
        self._stuck_s = stuck_s
        self._loop = asyncio.get_running_loop()
        self._since: float | None = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._reason: str | None = None

    def __enter__(self) -> Self:
        self._worker.on_lost.add(self._silent)
        self._timer = self._loop.call_later(self._stuck_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.on_lost.discard(self._silent)
        if self._timer is not None:
            self._timer.cancel()

    def pause(self) -> None:
        """Something came, and the worker has to wait for its reader."""
        self._since = None

    def restart(self) -> None:
        """Count the time from now."""
        self._since = self._loop.time()

    def check(self) -> None:
        """Raise `Lost` when this ended the call, and its task is not cancelled besides."""
        task = asyncio.current_task()
        if self._reason is not None and not (task is not None and task.cancelling()):
            raise Lost(self._reason)

    def _silent(self) -> None:
        self._end(f"{self._worker.address} is silent")

    def _look(self) -> None:
        now, since = self._loop.time(), self._since
        if since is None or not self._owing():
            since = now
        if now - since >= self._stuck_s:
            self._end(f"{self._worker.address} owes pictures for {self._stuck_s:g} s")
        else:
            self._timer = self._loop.call_at(since + self._stuck_s, self._look)

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._call.cancel()
