"""Keep the child process of a model, run one thing after the other, replace it when it fails.

Every run is served by a task of the runner, which nobody but `close` cancels. So a caller may leave
at any moment: the child is told to stop, and one that owns networks is free within an operator.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ditto_avatar.errors import (
    InvalidCheckpoint,
    ProviderFailed,
    SentenceFailed,
    Unavailable,
)
from ditto_avatar.speech.child_processes.client import ChildFailed
from ditto_avatar.speech.neural import protocol
from ditto_avatar.speech.neural.process import (
    Deadlines,
    ModelProcess,
    Result,
    RunFailed,
    Stopped,
)

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    head: Mapping[str, Any]
    inputs: Mapping[str, protocol.Array]
    left: bool = False
    """Nobody waits for it any more."""
    done: asyncio.Future[Result] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Runner:
    """One model, in a child that runs `program` with `order`. Belongs to the event loop in which it
    is first used.

    `on_lost` is called with the reason, one of few words, for every child that failed.
    """

    def __init__(
        self,
        name: str,
        program: Path,
        order: Mapping[str, Any],
        *,
        deadlines: Deadlines | None = None,
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._name = name
        self._program = program
        self._order = order
        self._deadlines = deadlines or Deadlines()
        self._on_lost = on_lost
        self._free = asyncio.Lock()
        self._child: ModelProcess | None = None
        self._current: _Request | None = None
        self.busy = asyncio.Event()
        """Set while the child has something to do."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process id of the child, while there is one."""
        return [self._child.pid] if self._child is not None and self._child.alive else []

    async def run(
        self,
        head: Mapping[str, Any],
        inputs: Mapping[str, protocol.Array],
        *,
        patient: bool = False,
    ) -> Result:
        """Run the model with `inputs`; `head` says how.

        Raises `SentenceFailed` when the child is busy for too long (unless `patient`) or two
        children failed at it, `ProviderFailed` when no child can be started, `InvalidCheckpoint`
        for a damaged model, `Unavailable` when the runner is closed. Cancelling is safe and
        stops the run."""
        if self._closed:
            raise Unavailable(f"{self._name} was closed.")
        request = _Request(head, inputs)
        task = asyncio.create_task(self._serve(request, patient))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await request.done
        finally:
            request.left = True
            if self._current is request and self._child is not None:
                self._child.stop()

    async def close(self) -> None:
        """End the child and wait until it is gone. Cancelling is safe: it is killed first, and
        closing again waits for the rest."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._end()

    async def _serve(self, request: _Request, patient: bool) -> None:
        try:
            result = await self._served(request, patient)
        except asyncio.CancelledError:
            self._tell(request, Unavailable(f"{self._name} was closed."))
            raise
        except Exception as error:
            # The border of a task: whatever it is, the caller raises it.
            self._tell(request, error)
        else:
            if not request.done.done():
                request.done.set_result(result)

    @staticmethod
    def _tell(request: _Request, error: Exception) -> None:
        if not request.done.done():
            request.done.set_exception(error)

    async def _served(self, request: _Request, patient: bool) -> Result:
        try:
            async with asyncio.timeout(None if patient else self._deadlines.free_s):
                await self._free.acquire()
        except TimeoutError:
            raise SentenceFailed(f"{self._name} is busy.") from None
        try:
            return await self._run(request)
        finally:
            self._free.release()

    async def _run(self, request: _Request) -> Result:
        """Two attempts, the second one by a new child."""
        for last in (False, True):
            if request.left:
                break
            child = await self._living()
            self._current = request
            self.busy.set()
            try:
                return await child.run(request.head, request.inputs)
            except Stopped:
                break
            except RunFailed as error:
                raise SentenceFailed(f"{self._name} failed: {error}") from error
            except ChildFailed as error:
                await self._lose(error)
                if last:
                    raise SentenceFailed(f"{self._name} failed twice: {error}.") from error
            finally:
                self._current = None
                self.busy.clear()
        raise SentenceFailed("Nobody waits for it any more.")

    async def _living(self) -> ModelProcess:
        if self._child is not None and self._child.alive:
            return self._child
        if self._child is not None:
            await self._lose(ChildFailed("died"))
        try:
            self._child = await ModelProcess.start(self._program, self._order, self._deadlines)
        except ChildFailed as error:
            if error.reason == "damaged":
                raise InvalidCheckpoint(f"{self._name} cannot be read: {error.text}") from error
            raise ProviderFailed(f"{self._name} did not start ({error}).") from error
        except OSError as error:
            raise ProviderFailed(f"{self._name} did not start ({error}).") from error
        return self._child

    async def _lose(self, error: ChildFailed) -> None:
        log.warning("the process of %s is replaced: it %s", self._name, error.reason)
        if self._on_lost is not None:
            self._on_lost(error.reason)
        await self._end()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()
