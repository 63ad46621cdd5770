"""Know the workers: where they are, what each can take, and which of them are gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.directory import Finder, Place, channel_to
from ditto_avatar.cluster.messages import CLIENT_OPTIONS, HEARTBEAT_S, WATCH, authorization
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.errors import Unavailable

log = logging.getLogger(__name__)

SILENT_S = 1.2
"""A worker that says nothing for so long hangs, or its machine is gone: two signs of life and
some."""
_AGAIN_S = 0.5
_RESOLVE_S = 5.0
_LISTED_AGAIN_S = 1.0
_OTHERS_S = 2.0
assert SILENT_S > 2 * HEARTBEAT_S


@dataclass(eq=False)
class KnownWorker:
    """One worker, and what it said last; None before it said anything and when it is lost."""

    address: str
    channel: grpc.aio.Channel
    places: pb.Places | None = None
    opening: int = 0
    """Streams that were given to it since it told its places."""
    on_lost: set[Callable[[], object]] = field(default_factory=set)
    """Called when it falls silent."""
    watching: asyncio.Task[None] | None = None

    @property
    def free(self) -> int:
        """Places it can take, as far as is known here."""
        if self.places is None or self.places.draining:
            return 0
        return max(0, self.places.total - self.places.taken - self.opening)

    def has(self, pack: str) -> bool:
        """Whether it can draw the pack of that fingerprint, as far as is known here."""
        return self.places is not None and pack in self.places.packs


class Fleet:
    """Watch the workers at `addresses`: ``host:port`` (a name that has several addresses is several
    workers), or ``cluster://host:port`` of a directory. Belongs to the event loop."""

    def __init__(
        self,
        addresses: Iterable[str],
        token: str | None,
        tls: Tls | None = None,
        first_s: float = 30.0,
    ) -> None:
        """With `first_s`, how long to wait for the first worker. With `tls` a worker has to show a
        certificate for the name, or the address, that it is called by in `addresses`."""
        self._first_s = first_s
        places = [Place.parse(address) for address in addresses]
        self._finder = Finder(places, token, tls)
        listed = any(place.is_directory for place in places)
        self._again_s = _LISTED_AGAIN_S if listed else _RESOLVE_S
        self._token = token
        self._tls = tls
        self._workers: dict[str, KnownWorker] = {}
        self._changed = asyncio.Condition()
        self._resolving: asyncio.Task[None] | None = None

    @property
    def workers(self) -> list[KnownWorker]:
        """Those that speak."""
        return [worker for worker in self._workers.values() if worker.places is not None]

    async def open(self) -> pb.Places:
        """Begin to watch; return what the first worker says. Raises `Unavailable` when none speaks
        in time. Cancelling is safe: then nothing is watched."""
        self._resolving = asyncio.create_task(self._keep_resolving(), name="workers")
        try:
            async with asyncio.timeout(self._first_s), self._changed:
                await self._changed.wait_for(lambda: bool(self.workers))
            # The others that are there; who is not comes later.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_OTHERS_S), self._changed:
                    await self._changed.wait_for(
                        lambda: len(self.workers) == len(self._workers) > 0
                    )
        except BaseException as error:
            await self.close()
            if not isinstance(error, TimeoutError):
                raise
            names = ", ".join(map(str, self._finder.places))
            raise Unavailable(f"DITTO_WORKERS: no worker answers at {names}.") from error
        places = self.workers[0].places
        assert places is not None
        return places

    async def close(self) -> None:
        """Stop watching. Cancelling is safe: nothing is watched any more; call it again to wait
        for the end of the connections."""
        watching = [worker.watching for worker in self._workers.values()]
        tasks = [task for task in (self._resolving, *watching) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while self._workers:
            _, worker = self._workers.popitem()
            await worker.channel.close()

    def choose(self, fingerprint: str, pack: str, besides: set[KnownWorker]) -> KnownWorker | None:
        """Return the worker with the most free places that draws alike, of several one that has the
        `pack`; None where all are full."""
        able = [
            worker
            for worker in self.workers
            if worker not in besides
            and worker.free > 0
            and worker.places is not None
            and worker.places.fingerprint == fingerprint
        ]
        return max(able, key=lambda worker: (worker.free, worker.has(pack)), default=None)

    async def changed(self) -> None:
        """Wait until any worker tells something new. Cancelling is safe."""
        async with self._changed:
            await self._changed.wait()

    async def _keep_resolving(self) -> None:
        while True:
            found = await self._finder.find()
            for address in found.keys() - self._workers.keys():
                channel = channel_to(address, self._tls, found[address], CLIENT_OPTIONS)
                worker = self._workers[address] = KnownWorker(address, channel)
                worker.watching = asyncio.create_task(self._watch(worker), name=address)
            for address in self._workers.keys() - found.keys():
                worker = self._workers[address]
                if worker.places is None and worker.watching is not None:
                    worker.watching.cancel()
                    del self._workers[address]
                    await worker.channel.close()
            await asyncio.sleep(self._again_s)

    async def _watch(self, worker: KnownWorker) -> None:
        watch = worker.channel.unary_stream(
            WATCH, pb.WatchRequest.SerializeToString, pb.Places.FromString
        )
        reason = ""
        while True:
            call = watch(pb.WatchRequest(), metadata=authorization(self._token))
            try:
                while True:
                    # Not `wait_for`: before Python 3.12 it can lose a cancellation.
                    async with asyncio.timeout(SILENT_S):
                        places = await call.read()
                    if not isinstance(places, pb.Places):
                        reason = "it ended the call"
                        break
                    await self._told(worker, places)
            except TimeoutError:
                reason = f"it said nothing for {SILENT_S:g} s"
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
            finally:
                call.cancel()
            await self._lose(worker, reason)
            await asyncio.sleep(_AGAIN_S)

    async def _told(self, worker: KnownWorker, places: pb.Places) -> None:
        if worker.places is None:
            log.info("worker %s has %d places", worker.address, places.total)
        worker.places = places
        worker.opening = 0
        async with self._changed:
            self._changed.notify_all()

    async def _lose(self, worker: KnownWorker, reason: str) -> None:
        if worker.places is not None:
            log.warning("worker %s is lost: %s", worker.address, reason)
        worker.places = None
        for tell in list(worker.on_lost):
            tell()
        async with self._changed:
            self._changed.notify_all()
