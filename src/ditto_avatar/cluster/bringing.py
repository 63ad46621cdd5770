"""Bring a presenter's pack to a worker that lacks it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import grpc
import grpc.aio

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.fleet import KnownWorker
from ditto_avatar.cluster.messages import BRING, authorization
from ditto_avatar.cluster.watchdog import Lost, Watchdog
from ditto_avatar.errors import InvalidAvatar, Unavailable
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.pack import PACK_FILES

_BLOCK_BYTES = 256 * 1024
# From the first byte to the last word of the worker, who decodes the pack and prepares it.
_LONGEST_S = 180.0
# Workers draw the presenter before its background.
_NAMES = tuple(name for name in PACK_FILES if name != "cutout.mp4")


class PackCarrier:
    """Bring each pack to each worker once, however many streams wait for it."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._closed = False

    async def bring(self, worker: KnownWorker, avatar: Avatar) -> None:
        """Return when `worker` can draw `avatar`. Raises `InvalidAvatar` when the worker refuses
        the pack, `Lost` when it is gone, `Unavailable` after `close`. Cancelling is safe: the pack
        goes on to the worker for the others."""
        if self._closed:
            raise Unavailable("The server does not draw any more.")
        key = worker.address, avatar.fingerprint
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._send(worker, avatar), name="pack")
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        await asyncio.shield(task)

    async def close(self) -> None:
        """Stop what is on its way. Cancelling is safe: all of it is stopped."""
        self._closed = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, key: tuple[str, str], done: asyncio.Task[None]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # told to those who wait, if any still does

    async def _send(self, worker: KnownWorker, avatar: Avatar) -> None:
        bring = worker.channel.stream_unary(
            BRING, pb.PackPart.SerializeToString, pb.Brought.FromString
        )
        with tempfile.TemporaryFile(prefix="ditto-avatar-") as file:
            head = await asyncio.to_thread(_packed, avatar, file)
            call: Any = bring(metadata=authorization(self._token))
            try:
                with Watchdog(worker, call, lambda: True, _LONGEST_S) as watchdog:
                    await _write(call, head, file, watchdog)
            except grpc.aio.AioRpcError as error:
                if error.code() in _REFUSED:
                    raise InvalidAvatar(error.details() or "The worker refused it.") from error
                reason = f"{worker.address}: {error.code().name} {error.details()}"
                raise Lost(reason) from error
            finally:
                call.cancel()


_REFUSED = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)


async def _write(call: Any, head: pb.PackHead, file: IO[bytes], watchdog: Watchdog) -> None:
    try:
        with _ended_early(call):
            await call.write(pb.PackPart(head=head))
            while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
                await call.write(pb.PackPart(data=block))
            await call.done_writing()
        await call
    except asyncio.CancelledError:
        watchdog.check()
        raise


@contextmanager
def _ended_early(call: Any) -> Iterator[None]:
    """A worker that has the pack by now, or refuses it, does not wait for its end."""
    try:
        yield
    except asyncio.InvalidStateError:
        if not call.done():
            raise


def _packed(avatar: Avatar, file: IO[bytes]) -> pb.PackHead:
    """Write the pack as a zip without compression; its files are compressed already."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in _NAMES:
            if (path := avatar.folder / name).is_file():
                archive.write(path, str(Path(avatar.name) / name))
    size = file.tell()
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    file.seek(0)
    return pb.PackHead(
        name=avatar.name, digest=avatar.fingerprint, size=size, sha256=digest.hexdigest()
    )
