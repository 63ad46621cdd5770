"""An event loop in a thread of its own: what is sent there on time must not wait for anything
else."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from ditto_avatar.cores import quick_switches

Result = TypeVar("Result")

_ANY_PORT = 0
# Ports of the range that others may have taken already.
_MOST_TRIES = 200


class PortRangeLoop(asyncio.SelectorEventLoop):
    """An event loop whose UDP sockets get their ports out of a range."""

    def __init__(self, ports: range) -> None:
        super().__init__()
        self._ports = ports

    async def create_datagram_endpoint(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], local_addr: Any = None, **kwargs: Any
    ) -> Any:
        """Open a UDP socket; where any port will do, one of the range. Raises `OSError` when all
        are taken."""
        opened = super().create_datagram_endpoint
        if not self._ports or local_addr is None or local_addr[1] != _ANY_PORT:
            return await opened(protocol_factory, local_addr=local_addr, **kwargs)
        count = min(len(self._ports), _MOST_TRIES)
        failure: OSError | None = None
        for port in random.sample(self._ports, count):
            try:
                return await opened(protocol_factory, local_addr=(local_addr[0], port), **kwargs)
            except OSError as error:
                failure = error
        raise failure or OSError("the range of ports is empty")


class LoopThread:
    """Run an event loop in a thread, from `start` to `close`. Its other methods belong to another
    thread."""

    def __init__(self, name: str, ports: range = range(0)) -> None:
        self._name = name
        self._ports = ports
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ending = False

    @property
    def alive(self) -> bool:
        """Whether it runs, and takes more work."""
        return self._thread is not None and self._thread.is_alive() and not self._ending

    def start(self) -> None:
        """Begin to run. Once."""
        loop = self._loop = PortRangeLoop(self._ports)

        def run() -> None:
            asyncio.set_event_loop(loop)
            # A picture is dozens of packets.
            with quick_switches():
                loop.run_forever()
            loop.close()

        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Await `work()` in the thread; its result or error. Cancelling cancels the work. Raises
        `RuntimeError` once the thread takes no more of it."""
        if not self.alive or self._loop is None:
            raise RuntimeError(f"the thread {self._name} has ended")

        async def run() -> Result:
            return await work()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))

    def post(self, work: Callable[..., object], *arguments: Any) -> None:
        """Call `work` in the thread soon; once it has ended, nothing happens."""
        assert self._loop is not None
        # It may end in this very moment.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *arguments)

    async def close(self) -> None:
        """End the loop and what still runs in it. Cancelling is safe: it ends all the same."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if not self._ending:
            self._ending = True
            asyncio.run_coroutine_threadsafe(_end(loop), loop)
        await asyncio.to_thread(thread.join)


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all other tasks of this loop and wait for them, and for its threads; then stop it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await loop.shutdown_default_executor()
    loop.stop()
