"""Let Ray place, restart and find workers. Sound and pictures go over gRPC beside it.

Each worker is an actor with a name, which opens a gRPC port of its own at the address of its node.
Actors outlive the process that started them, and go on while Ray's head is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ditto_avatar.cluster.listening import listen
from ditto_avatar.cluster.scaling import Scaler
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.cluster.worker import Worker
from ditto_avatar.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

NAMESPACE = "ditto-avatar"
_NAME = "worker-"
_LOOK_S = 1.0
_ANSWER_S = 2.0
# Calls that run in an actor at once: every look of every controller, and one that drains.
_CALLS = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker with its engine loaded, and how it is served."""

    worker: Worker
    tls: Tls | None
    shutdown_s: float


Open = Callable[[str], Awaitable[Opened]]
"""Loads the engine of a worker that others reach at a host. It runs in the actor, and is found
there by its name."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What Ray keeps free for one worker, on one node."""

    cpus: float = 1.0
    gpus: float = 0.0


class WorkerActor:
    """One worker, in a process that Ray starts and starts again."""

    def __init__(self, opening: Open) -> None:
        self._opening = opening
        self._lock = asyncio.Lock()
        self._opened: Opened | None = None
        self._server: Any = None
        self._address = ""

    async def look(self) -> tuple[str, int, int, bool]:
        """Return its address, the places that are taken and all, and whether it drains. Loads the
        engine first."""
        import ray

        async with self._lock:
            if self._opened is None:
                host = ray.util.get_node_ip_address()
                opened = await self._opening(host)
                shown = f"[{host}]" if ":" in host else host
                self._server, port = await listen(
                    opened.worker.handlers(), f"{shown}:0", opened.tls
                )
                self._address = f"{shown}:{port}"
                self._opened = opened
        places = self._opened.worker.state()
        return self._address, places.taken, places.total, places.draining

    async def drain(self) -> None:
        """Take nothing new, and return when what is drawn has ended."""
        if self._opened is not None:
            await self._opened.worker.drain(self._opened.shutdown_s)


class RayWorkers:
    """Keep between `scaler.least` and `scaler.most` workers in a Ray cluster."""

    def __init__(self, opening: Open, needs: Needs, scaler: Scaler) -> None:
        self._opening = opening
        self._needs = needs
        self._scaler = scaler
        self._actors: dict[str, Any] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, _Answer] = {}

    @property
    def addresses(self) -> list[str]:
        """Where those are that answer and take streams."""
        return [known.address for known in self._known.values()]

    @property
    def names(self) -> list[str]:
        """All that are there or on their way, those too that leave."""
        return list(self._actors)

    @property
    def leaving(self) -> list[str]:
        """Those that finish what they draw."""
        return list(self._leaving)

    async def connect(self, address: str) -> None:
        """Join the Ray cluster at `address`, and find the workers of an earlier run. Raises
        `Unavailable` without Ray and without a cluster. Cancelling is safe."""
        try:
            import ray
        except ImportError as error:
            raise Unavailable("`ditto-avatar cluster` needs the extra `ray`.") from error
        try:
            await _done(lambda: ray.init(address=address, namespace=NAMESPACE, log_to_driver=False))
            for name in await _done(ray.util.list_named_actors):
                if name.startswith(_NAME):
                    await self._find(name)
        except (ConnectionError, RuntimeError, ValueError) as error:
            await self.close()
            raise Unavailable(f"No Ray cluster answers at {address}: {error}.") from error
        except BaseException:
            await self.close()
            raise

    async def keep(self) -> None:
        """Look after the workers until it is cancelled, which leaves them as they are."""
        while True:
            await self.look_after()
            await asyncio.sleep(_LOOK_S)

    async def look_after(self) -> None:
        """Ask all workers once, and start or end those that are too few or too many. Cancelling is
        safe: the next call goes on where this one ended."""
        await self._look()
        await self._scale()

    async def end(self) -> None:
        """Let every worker finish what it draws, and end it. Cancelling is safe: those that are
        left go on, and those that drain are ended by whoever keeps or ends workers next."""
        for name in self._actors:
            self._let_go(name)
        while self._leaving:
            await asyncio.wait(self._leaving.values())

    async def close(self) -> None:
        """Leave the Ray cluster; the workers go on. Cancelling is safe: it is left all the same."""
        import ray

        leaving = list(self._leaving.values())
        for task in leaving:
            task.cancel()
        try:
            if leaving:
                await asyncio.wait(leaving)
        finally:
            self._actors.clear()
            self._known.clear()
            await _done(ray.shutdown)

    async def _find(self, name: str) -> None:
        import ray

        # One that was ended a moment ago may still be listed.
        with contextlib.suppress(ValueError):
            self._actors[name] = await _done(lambda: ray.get_actor(name))

    async def _look(self) -> None:
        names = [name for name in self._actors if name not in self._leaving]
        answers = await asyncio.gather(*(_asked(self._actors[name]) for name in names))
        for name, answer in zip(names, answers, strict=True):
            before = self._known.pop(name, None)
            if answer is not None and answer.draining:
                # Somebody who was cancelled let it go, and did not end it.
                self._let_go(name)
            elif answer is not None:
                self._known[name] = answer
            if (answer.address if answer else "") != (before.address if before else ""):
                log.info("%s is %s", name, f"at {answer.address}" if answer else "away")

    async def _scale(self) -> None:
        started = [name for name in self._actors if name not in self._leaving]
        places = [(known.taken, known.total) for known in self._known.values()]
        wanted = self._scaler.wanted(time.monotonic(), len(started), places)
        for _ in range(wanted - len(started)):
            await self._start()
        if wanted < len(started):
            # The one that draws least has the least to wait for.
            self._let_go(min(started, key=self._taken))

    def _taken(self, name: str) -> int:
        known = self._known.get(name)
        return 0 if known is None else known.taken

    def _let_go(self, name: str) -> None:
        self._known.pop(name, None)
        if name not in self._leaving:
            task = self._leaving[name] = asyncio.create_task(self._leave(name))
            task.add_done_callback(lambda _: self._leaving.pop(name))

    async def _start(self) -> None:
        import ray

        name = next(n for k in range(10_000) if (n := f"{_NAME}{k}") not in self._actors)
        actor = ray.remote(WorkerActor).options(
            name=name,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=_CALLS,
        )
        self._actors[name] = await _done(lambda: actor.remote(self._opening))
        log.info("%s is started", name)

    async def _leave(self, name: str) -> None:
        import ray

        actor = self._actors[name]
        try:
            await actor.drain.remote()
        except ray.exceptions.RayError as error:
            log.warning("%s could not finish: %s", name, type(error).__name__)
        await _done(lambda: ray.kill(actor, no_restart=True))
        self._actors.pop(name, None)
        log.info("%s has ended", name)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a worker says of itself."""

    address: str
    taken: int
    total: int
    draining: bool


async def _asked(actor: Any) -> _Answer | None:
    """What the worker says; None while it is placed, loaded or started again."""
    import ray

    try:
        async with asyncio.timeout(_ANSWER_S):
            return _Answer(*await actor.look.remote())
    except TimeoutError:
        return None
    except ray.exceptions.RayError as error:
        log.warning("a worker cannot be asked: %s", str(error).splitlines()[0])
        return None


async def _done(work: Callable[[], T]) -> T:
    """Do what blocks in a thread. Cancelled, it waits for the thread first: what Ray has begun is
    there afterwards, and the next call would meet it halfway."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()
        raise
