"""Where work goes that is done beside something that draws."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from ditto_avatar.errors import DittoAvatarError

Result = TypeVar("Result")


class Stopped(DittoAvatarError):
    """What was prepared is not wanted any more."""


class DoesCalls(Protocol):
    """Does a call between two batches of a device (`DeviceThread.do`)."""

    def __call__(self, call: Callable[[], Any], /) -> Future[Any]: ...


class Beside:
    """A preparation that goes on while the device draws: what the device has to do alone, to be
    timed, say, is done by its thread, between two batches (`on_device`). Without `do` nothing else
    draws.

    `stop` belongs to any thread, all else to the one that prepares."""

    def __init__(self, do: DoesCalls | None = None) -> None:
        self._do = do
        self._stopped = threading.Event()
        self._ends: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether something else draws meanwhile."""
        return self._do is not None

    def on_device(self, call: Callable[[], Result]) -> Result:
        """Do `call` between two batches; wait for it. Raises what it raises, and `Stopped`."""
        self.check()
        if self._do is None:
            return call()
        if torch.cuda.is_available():  # what this thread began on a stream of its own
            torch.cuda.current_stream().synchronize()
        try:
            result: Result = self._do(call).result()
        except CancelledError as error:
            raise Stopped("The device draws no more.") from error
        self.check()
        return result

    def check(self) -> None:
        """Raise `Stopped` once `stop` was called."""
        if self._stopped.is_set():
            raise Stopped("The preparation was stopped.")

    def stop(self) -> None:
        """End the preparation as soon as can be."""
        with self._lock:
            self._stopped.set()
            ends = list(self._ends)
        for end in ends:
            end()

    @contextmanager
    def ended_by(self, end: Callable[[], object]) -> Iterator[None]:
        """Let `stop` call `end`, which ends what is waited for inside. Raises `Stopped`."""
        with self._lock:
            self.check()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)
