"""The child processes of the embedded voice: one request each at a time, replaced when they fail.

Every request is served by a task of the pool, which nobody but `close` cancels. So a reader may
leave at any moment: its child is told to stop, gives its place back and speaks for the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from ditto_avatar.errors import InvalidInput, ProviderFailed, SentenceFailed, Unavailable
from ditto_avatar.speech.child_processes.client import ChildFailed
from ditto_avatar.speech.espeak import protocol
from ditto_avatar.speech.espeak.process import Deadlines, EspeakProcess
from ditto_avatar.speech.espeak.request import Request
from ditto_avatar.speech.espeak.sound import Sound

log = logging.getLogger(__name__)

_CLOSED = "The embedded voice was closed."


class Pool:
    """At most `size` children, each started when it is first needed or by `start`.

    `on_lost` is called with the reason, one of few words, for every child that failed. A pool
    belongs to the event loop in which it is first used.
    """

    def __init__(
        self,
        size: int,
        *,
        deadlines: Deadlines | None = None,
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._size = size
        self._deadlines = deadlines or Deadlines()
        self._on_lost = on_lost
        self._places = asyncio.Semaphore(size)
        self._idle: list[EspeakProcess] = []
        self._children: set[EspeakProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of all children."""
        return [child.pid for child in self._children]

    @property
    def version(self) -> str:
        """The version of espeak-ng, once a child has told it."""
        return next((child.version for child in self._children), "")

    async def start(self) -> None:
        """Start all children. One that cannot be started is logged, and tried again when it is
        needed. Raises `Unavailable` when the pool is closed. Cancelling is safe: those that were
        begun are started all the same."""
        missing = self._size - len(self._children)
        if starting := [self._run(self._prepare()) for _ in range(missing)]:
            await asyncio.wait(starting)

    def say(self, request: Request) -> Sound:
        """Have `request` said; the sound is complete, with a failure at its end if there is one,
        whether it is read or not. The caller calls `Sound.stop` when it is done.

        The sound ends with `InvalidInput` for an unknown voice, with `SentenceFailed` when two
        children failed at it, with `ProviderFailed` when no child can be started. Raises
        `Unavailable` when the pool is closed.
        """
        sound = Sound()

        def finish(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                sound.fail(Unavailable(_CLOSED))
            sound.end()

        self._run(self._serve(request, sound)).add_done_callback(finish)
        return sound

    async def close(self) -> None:
        """End all children and wait until they are gone. Cancelling is safe: they are killed
        first, and closing again waits for the rest."""
        self._closed = True
        for child in self._children:
            child.kill()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for child in list(self._children):
            await self._end(child)

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        if self._closed:
            work.close()
            raise Unavailable(_CLOSED)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _prepare(self) -> None:
        try:
            async with self._place():
                self._idle.append(await self._child())
        except ProviderFailed as error:
            log.warning("a process of the embedded voice could not be started: %s", error)

    async def _serve(self, request: Request, sound: Sound) -> None:
        try:
            async with self._place():
                if not sound.stopped:
                    await self._say(request, sound)
        except Exception as error:
            # The border of a task: whatever it is, the reader raises it.
            sound.fail(error)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadlines.place_s):
                await self._places.acquire()
        except TimeoutError:
            raise SentenceFailed("Every process of the embedded voice is busy.") from None
        try:
            yield
        finally:
            self._places.release()

    async def _say(self, request: Request, sound: Sound) -> None:
        """Two attempts, the second one simpler and by a new child."""
        child = await self._child()
        outcome = protocol.FAILED
        for attempt in (request, request.simpler()):
            try:
                outcome = await child.say(attempt, sound)
                break
            except ChildFailed as error:
                child = await self._replaced(child, error)
            if sound.stopped:
                break
        self._idle.append(child)
        if outcome == protocol.NO_SUCH_VOICE:
            raise InvalidInput(f"espeak has no voice '{request.voice}'.")
        if outcome != protocol.SAID:
            raise SentenceFailed("espeak-ng could not say the sentence.")

    async def _child(self) -> EspeakProcess:
        """An idle child, or a new one; who calls this holds a place."""
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._end(child)
            self._tell_lost(child, "died")
        return await self._started()

    async def _replaced(self, child: EspeakProcess, error: ChildFailed) -> EspeakProcess:
        await self._end(child)
        self._tell_lost(child, error.reason)
        return await self._started()

    async def _started(self) -> EspeakProcess:
        try:
            child = await EspeakProcess.start(self._deadlines)
        except (ChildFailed, OSError) as error:
            raise ProviderFailed(f"espeak-ng did not start ({error}).") from error
        self._children.add(child)
        return child

    async def _end(self, child: EspeakProcess) -> None:
        await child.end()
        self._children.discard(child)

    def _tell_lost(self, child: EspeakProcess, reason: str) -> None:
        log.warning(
            "process %d of the embedded voice is replaced: it %s (%s)",
            child.pid,
            reason if reason != "nonsense" else "sent nonsense",
            child.ending,
        )
        if self._on_lost is not None:
            self._on_lost(reason)
