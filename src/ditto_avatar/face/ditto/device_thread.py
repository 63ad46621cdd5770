"""The thread that keeps a device busy with the batches of a backlog."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ditto_avatar.face.ditto.scheduler import Backlog, Job, Kind

log = logging.getLogger(__name__)

# How long a batch waits to be filled while the device is busy with the one before. The shortest
# batch takes longer than that.
FILL_S = 0.002

Results = Callable[[], Sequence[Any]]
"""Waits for what a batch computes; holds the error in place of a result that could not be made."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A piece of work, when it is wanted, and who waits for it."""

    work: Any
    deadline: float
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class BatchCount:
    """How many batches of a kind there were, and how many pieces of work in them."""

    batches: int = 0
    jobs: int = 0


@dataclass(slots=True)
class DeviceThread:
    """Starts batches one after the other. What one computes is fetched from the device while the
    next one is on it, and no more than that, so that deadlines decide late.

    `begin` starts a batch of one kind, on this thread; `answered` is called on the event loop with
    each piece of work that was done, and when it was. With `overlaps` the device works on while
    another batch is begun. `enter` is called first on each thread. `add`, `drop` and `close` belong
    to the event loop."""

    backlog: Backlog[Asked]
    begin: Callable[[Sequence[Any]], Results]
    answered: Callable[[Asked, float], None]
    clock: Callable[[], float]
    enter: Callable[[], None]
    overlaps: bool
    counts: dict[Kind, BatchCount] = field(
        default_factory=lambda: {kind: BatchCount() for kind in Kind}
    )
    _calls: deque[tuple[Callable[[], Any], Future[Any]]] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closed: bool = False

    def add(self, job: Job[Asked]) -> None:
        """Take a piece of work. After `close` it is cancelled."""
        with self._changed:
            if self._closed:
                job.payload.answer.cancel()
                return
            self.backlog.add(job)
            self._wake()

    def do(self, call: Callable[[], Any]) -> Future[Any]:
        """Do `call` on the thread, before the next batch. Batches wait meanwhile, so it should be
        short. After `close` it is cancelled. For any thread."""
        answer: Future[Any] = Future()
        with self._changed:
            if self._closed:
                answer.cancel()
                return answer
            self._calls.append((call, answer))
            self._wake()
        return answer

    def drop(self, owner: int) -> None:
        """Forget what a viewer still waited for."""
        with self._changed:
            dropped = self.backlog.drop(owner)
        for job in dropped:
            job.payload.answer.cancel()

    async def close(self) -> None:
        """End the thread; what was not begun is cancelled. Cancelling is safe: the thread ends all
        the same."""
        with self._changed:
            self._closed = True
            waiting: list[Job[Asked]] = []
            while batch := self.backlog.next_batch(self.clock()):
                waiting += batch
            while self._calls:
                self._calls.popleft()[1].cancel()
            self._changed.notify_all()
        for job in waiting:
            job.payload.answer.cancel()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        # What it called refers to it. Such a ring would keep the networks of a backend that has
        # ended, as long as the collector leaves it alone (`memory.keep_for_good`).
        self.begin, self.answered = _ended, _ended

    def _wake(self) -> None:
        """Start the thread, or let it look. The lock is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ditto", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        self.enter()
        flying: Future[None] | None = None
        with ThreadPoolExecutor(1, "ditto-finish", self.enter) as finisher:
            while batch := self._next(flying):
                asked = [job.payload for job in batch if not job.payload.answer.done()]
                if not asked:
                    continue
                self._count(batch[0].kind, len(asked))
                try:
                    results = self.begin([each.work for each in asked])
                except Exception as error:  # the viewers get it, and the thread goes on
                    self._fail(asked, error)
                    continue
                if flying is not None:
                    flying.result()
                flying = finisher.submit(self._land, asked, results)
                if not self.overlaps:
                    flying.result()

    def _next(self, flying: Future[None] | None) -> list[Job[Asked]]:
        """Wait for work; return the next batch, or none when all is over."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._closed or self._calls or len(self.backlog))
                if not self._calls:
                    break
                self._do(*self._calls.popleft())
            if flying is not None and not flying.done():
                self._changed.wait_for(
                    lambda: self._closed or flying.done() or not self.backlog.patient(self.clock()),
                    FILL_S,
                )
            return self.backlog.next_batch(self.clock())

    def _do(self, call: Callable[[], Any], answer: Future[Any]) -> None:
        """Do a call without the lock, which is held."""
        self._changed.release()
        try:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(call())
                except BaseException as error:  # who asked gets it, and the thread goes on
                    answer.set_exception(error)
        finally:
            self._changed.acquire()

    def _land(self, asked: Sequence[Asked], results: Results) -> None:
        try:
            found = results()
        except Exception as error:  # as above
            self._fail(asked, error)
        else:
            _tell(asked, self._answer, asked, found, self.clock())
        with self._changed:
            self._changed.notify_all()

    def _answer(self, asked: Sequence[Asked], results: Sequence[Any], now: float) -> None:
        for each, result in zip(asked, results, strict=True):
            if isinstance(result, Exception):
                _set_error(each, result)
                continue
            if not each.answer.done():
                each.answer.set_result(result)
            self.answered(each, now)

    def _fail(self, asked: Sequence[Asked], error: Exception) -> None:
        """Hand the error of a batch to all that wait for it."""
        log.error("Ditto failed on a batch of %d.", len(asked), exc_info=error)
        _tell(asked, _set_errors, asked, error)

    def _count(self, kind: Kind, jobs: int) -> None:
        count = self.counts[kind]
        count.batches += 1
        count.jobs += jobs


def _ended(*_: object) -> Any:
    raise RuntimeError("the thread of the device has ended")


def _set_errors(asked: Sequence[Asked], error: Exception) -> None:
    for each in asked:
        _set_error(each, error)


def _set_error(asked: Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)


def _tell(asked: Sequence[Asked], call: Callable[..., object], *values: Any) -> None:
    """Call on the event loop of those who asked. One that was closed has nobody who waits."""
    with suppress(RuntimeError):
        asked[0].answer.get_loop().call_soon_threadsafe(call, *values)
