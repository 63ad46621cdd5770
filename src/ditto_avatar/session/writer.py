"""Store the changes of a session one after the other, then tell of each.

Turns, choices and clips are announced once they are stored: no viewer learns of what a crash could
undo. The end of a turn is announced either way.
The writes of a session run in one task of its own, in the order in which they came; no caller can
cancel them. A write that must not be lost (how a turn ended) is tried again until the database
takes it, behind the newer ones. Only a session that belongs to another server by now, or is gone,
takes nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ditto_avatar.clock import Clock, wait_until
from ditto_avatar.errors import DittoAvatarError, SessionEnded, SessionMoved

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# A database that is locked answers within 5 s; beyond this storing is not waited for.
STORED_S = 30.0
# Turns whose end could not be stored yet; beyond it the oldest is given up.
_MAX_UNSAVED = 100


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Write:
    """One thing to store. `saved` is called when it is stored, `failed` when it could not be. With
    a `key` it is then tried again later, unless a newer write has the same key."""

    save: Callable[[], Awaitable[None]]
    saved: Callable[[], object] = _nothing
    failed: Callable[[Exception], object] = lambda error: None
    key: str | None = None


class Writer:
    """Run the writes of a session in one task. The task exists only while there is something to
    write."""

    def __init__(self, clock: Clock, lost: Callable[[], object] = _nothing) -> None:
        """Call `lost` when the session turns out to be another server's, or gone."""
        self._clock = clock
        self._lost = lost
        self._queue: deque[Write] = deque()
        self._unsaved: dict[str, Write] = {}
        self._task: asyncio.Task[None] | None = None
        self._came = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    @property
    def unsaved(self) -> int:
        """How many writes failed and will be tried again."""
        return len(self._unsaved)

    def put(self, write: Write) -> None:
        """Store after what is being stored already. Never waits."""
        self._queue.append(write)
        self._idle.clear()
        self._came.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def run(self, save: Callable[[], Awaitable[T]]) -> T:
        """Store after what is being stored already, and wait for the result. Raises what `save`
        raises. Cancelling is safe: the write is done all the same."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def saving() -> None:
            value = await save()
            if not result.done():
                result.set_result(value)

        def failed(error: Exception) -> None:
            if not result.done():
                result.set_exception(error)

        self.put(Write(saving, failed=failed))
        return await result

    async def drained(self, timeout_s: float) -> bool:
        """Wait until everything that came has been tried once; False if that takes more than
        `timeout_s` seconds. Cancelling is safe."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_s: float) -> None:
        """Try what is left once more and stop. Cancelling is safe: the task ends by itself."""
        self._closing = True
        self._came.set()
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=timeout_s)
        if self._unsaved:
            log.error("%d turns could not be stored before the session ended", len(self._unsaved))

    async def _work(self) -> None:
        try:
            await self._drain()
        except Exception:
            # The border of a task: whatever a bug did, the next write begins a new one.
            log.exception("a session's writer failed")
        finally:
            self._task = None
            if not self._queue:
                self._idle.set()
            else:
                self._task = asyncio.create_task(self._work())

    async def _drain(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            while self._queue:
                if await self._save(self._queue.popleft()):
                    pause_s = _FIRST_PAUSE_S
                    await self._save_again()
            self._idle.set()
            if not self._unsaved:
                return
            if self._closing:
                await self._save_again()
                return
            await self._pause(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            await self._save_again()

    async def _save(self, write: Write) -> bool:
        try:
            await write.save()
        except Exception as error:
            # The border of a task: it has to live for the writes that follow.
            if not isinstance(error, DittoAvatarError):
                log.exception("a write failed")
            if isinstance(error, (SessionMoved, SessionEnded)):
                self._unsaved.clear()
                self._lost()
            elif write.key is not None:
                self._keep_for_later(write.key, write)
            write.failed(error)
            return False
        if write.key is not None:
            self._unsaved.pop(write.key, None)
        write.saved()
        return True

    async def _save_again(self) -> None:
        for key, write in list(self._unsaved.items()):
            try:
                await write.save()
            except (SessionMoved, SessionEnded):
                self._unsaved.clear()
                self._lost()
                return
            except Exception as error:
                # The border of a task; those that wait behind it would fail as well.
                if isinstance(error, DittoAvatarError):
                    log.debug("a write failed again: %s", error)
                else:
                    log.exception("a write failed again")
                return
            if self._unsaved.get(key) is write:
                del self._unsaved[key]

    def _keep_for_later(self, key: str, write: Write) -> None:
        self._unsaved.pop(key, None)
        self._unsaved[key] = write
        if len(self._unsaved) > _MAX_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]
            log.error("the end of a turn could not be stored and is given up")

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until something comes."""
        self._came.clear()
        await wait_until(self._came, self._clock, self._clock.now() + seconds)
