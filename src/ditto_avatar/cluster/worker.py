"""Serve a face engine to servers on other machines: the command `ditto-avatar worker`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.listening import asked_to_stop, check_token, listen
from ditto_avatar.cluster.messages import HEARTBEAT_S, SERVICE
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.cluster.worker_metrics import WorkerMetrics
from ditto_avatar.cluster.worker_stream import WorkerStream
from ditto_avatar.errors import Busy, DittoAvatarError, InvalidAvatar, NotFound
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import Backends, FaceEngine, FaceStream, backends_of

log = logging.getLogger(__name__)


class Worker:
    """Draw for others with `face`, at most `places` streams at once (None: as many as the engine
    holds, which has to know that). Belongs to the event loop."""

    def __init__(
        self, face: FaceEngine, packs: WorkerPacks, places: int | None, token: str | None
    ) -> None:
        self._face = face
        self._packs = packs
        self._places = places
        self._token = token
        self.metrics = WorkerMetrics()
        self._taken = 0
        self._draining = False
        self._changes = 0
        self._changed = asyncio.Condition()
        self._executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="encode")

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server answers with."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self.watch, pb.WatchRequest.FromString, pb.Places.SerializeToString
                ),
                "Draw": grpc.stream_stream_rpc_method_handler(
                    self.draw, pb.Up.FromString, pb.Pictures.SerializeToString
                ),
                "Bring": grpc.stream_unary_rpc_method_handler(
                    self.bring, pb.PackPart.FromString, pb.Brought.SerializeToString
                ),
            },
        )

    async def watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.Places]:
        """Yield the places at once, when they change, and as a sign of life."""
        await check_token(context, self._token)
        while True:
            known = self._changes
            yield self.state()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S), self._changed:
                    while self._changes == known:
                        await self._changed.wait()

    async def draw(self, ups: AsyncIterator[pb.Up], context: Any) -> AsyncIterator[pb.Pictures]:
        """Draw one stream. The end of the call, from either side, frees its place."""
        await check_token(context, self._token)
        if self._draining or self._taken >= self._total:
            self.metrics.streams.labels("refused").inc()
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "every place is taken")
        self._taken += 1
        end = "failed"
        try:
            await self._tell()
            opening = (await anext(aiter(ups))).open
            try:
                avatar = self._packs.find(opening.digest)
                stream = await self._face.open(avatar, opening.start_frame)
            except DittoAvatarError as error:
                end = "refused"
                await context.abort(_status_of(error), str(error))
            pictures = self.draw_stream(stream, avatar, opening.pictures_before, ups)
            try:
                async for each in pictures:
                    self.metrics.pictures.inc(len(each.idle_frames))
                    yield each
                end = "drawn"
            finally:
                await pictures.aclose()
        except (asyncio.CancelledError, GeneratorExit, ConnectionResetError):
            end = "cancelled"
            raise
        finally:
            self.metrics.streams.labels(end).inc()
            self._taken -= 1
            await self._tell()

    def draw_stream(
        self, stream: FaceStream, avatar: Avatar, before: int, ups: AsyncIterator[pb.Up]
    ) -> AsyncGenerator[pb.Pictures, None]:
        """Draw what comes up, behind `before` pictures of its sentence; a bench overrides it."""
        return WorkerStream(stream, avatar, before, self._executor).run(ups)

    async def bring(self, parts: AsyncIterator[pb.PackPart], context: Any) -> pb.Brought:
        """Take a pack that a server has and this worker lacks."""
        await check_token(context, self._token)
        try:
            await self._packs.take(parts)
        except InvalidAvatar as error:
            log.warning("a pack that a server brought is refused: %s", error)
            self.metrics.brought.labels("refused").inc()
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        self.metrics.brought.labels("taken").inc()
        await self._tell()
        return pb.Brought()

    async def drain(self, within_s: float) -> None:
        """Take nothing new, and wait until what is drawn has ended, or the time is over."""
        self._draining = True
        await self._tell()
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(lambda: self._taken == 0)
        except TimeoutError:
            log.warning("%d streams are ended before they were drawn", self._taken)

    @property
    def _total(self) -> int:
        """What the engine holds may change while it draws."""
        known = [each for each in (self._places, self._face.max_streams) if each is not None]
        return min(known, default=0)

    @property
    def backends(self) -> Backends | None:
        """Which backends its engine has."""
        return backends_of(self._face)

    def state(self) -> pb.Places:
        """Say what it can take now."""
        return pb.Places(
            engine=self._face.name,
            fingerprint=self._face.fingerprint,
            total=self._total,
            taken=self._taken,
            strained=self._face.strained,
            draining=self._draining,
            packs=self._packs.digests,
        )

    async def _tell(self) -> None:
        self._changes += 1
        async with self._changed:
            self._changed.notify_all()


def _status_of(error: DittoAvatarError) -> grpc.StatusCode:
    """What a server is told: to bring the pack, to ask another worker, or to give up."""
    if isinstance(error, NotFound):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, Busy):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    return grpc.StatusCode.FAILED_PRECONDITION


async def serve_worker(
    worker: Worker, address: str, shutdown_s: float, tls: Tls | None = None
) -> None:
    """Serve `worker` at `address`, over `tls` where it is given, until SIGTERM or SIGINT; then
    drain for up to `shutdown_s`. Raises `OSError` when the address is taken."""
    server, _ = await listen(worker.handlers(), address, tls)
    log.info("draws for servers at %s", address)
    await asked_to_stop()
    await worker.drain(shutdown_s)
    await server.stop(0.5)
