"""Run a worker as the settings say: what `ditto-avatar worker` does."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from ditto_avatar import assembly
from ditto_avatar.cluster.packs import WorkerPacks
from ditto_avatar.cluster.status import serving_status
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.cluster.worker import Worker, serve_worker
from ditto_avatar.cores import usable_cores
from ditto_avatar.errors import DittoAvatarError, InvalidInput, Unavailable
from ditto_avatar.face.base import FaceEngine
from ditto_avatar.face.library import AvatarLibrary
from ditto_avatar.memory import keep_for_good, return_large_buffers
from ditto_avatar.settings import Settings

log = logging.getLogger(__name__)

# The puppet draws and encodes some ten times faster than it is played.
_PER_CORE = 2


async def run_worker(settings: Settings, host: str, port: int) -> None:
    """Serve until the process is asked to stop. Raises `InvalidInput` when others could reach it
    without a secret, `Unavailable` when the port is taken or the engine lacks something."""
    token = assembly.worker_token(settings)
    tls = await asyncio.to_thread(assembly.worker_tls, settings)
    check_exposure(host, token, tls)
    status = WorkerStatus()
    return_large_buffers()
    try:
        async with AsyncExitStack() as stack:
            if settings.admin_port is not None:
                serving = serving_status(settings.admin_host, settings.admin_port, status.respond)
                await stack.enter_async_context(serving)
            face = await assembly.open_face(settings)
            stack.push_async_callback(face.close)
            worker = status.worker = await open_worker(settings, face, port, token)
            keep_for_good()
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            await serve_worker(worker, address, settings.shutdown_s, tls)
    except OSError as error:
        raise Unavailable(f"The worker cannot listen: {error}.") from error


def check_exposure(host: str, token: str | None, tls: Tls | None) -> None:
    """Raise `InvalidInput` when others than this machine could reach `host` without a secret."""
    if token is None and tls is None and not _is_this_machine(host):
        raise InvalidInput(
            f"Workers at {host} can be reached by others: set DITTO_WORKER_TOKEN, the same here "
            "and at the servers, or DITTO_WORKER_CERTIFICATE."
        )


class WorkerStatus:
    """What probes and Prometheus are told; `worker` is None while its engine is loaded."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def respond(self, path: str) -> tuple[int, str, bytes] | None:
        """Answer a request for `path`, as `cluster.status` wants it."""
        if path == "/healthz":
            return 200, "text/plain", b"ok\n"
        if path == "/readyz":
            if self.worker is None:
                return 503, "text/plain", b"loading\n"
            if self.worker.state().draining:
                return 503, "text/plain", b"draining\n"
            backends = self.worker.backends
            if backends is None or backends.prepares is None:
                return 200, "text/plain", b"ready\n"
            told = f"ready: {backends.draws} draws until {backends.prepares} is prepared\n"
            return 200, "text/plain", told.encode()
        if path == "/metrics" and self.worker is not None:
            metrics, backends = self.worker.metrics, self.worker.backends
            text = metrics.exposition(self.worker.state(), backends)
            return 200, metrics.content_type, text
        return None


async def open_worker(
    settings: Settings, face: FaceEngine, port: int | None, token: str | None
) -> Worker:
    """Prepare the avatars. Packs that are brought lie in a folder by the `port`, since workers of
    several cards share a data folder; or among the system's temporary files. Raises `InvalidInput`
    for a folder of avatars that is none. Cancelling is safe."""
    avatars = await assembly.open_avatars(settings)
    await _prepare(face, avatars)
    places = settings.max_speaking
    if places is None and face.max_streams is None:
        places = _PER_CORE * usable_cores()
    folder = None if port is None else settings.data_dir / "packs" / str(port)
    if folder is not None:
        await asyncio.to_thread(_make_empty, folder)
    return Worker(face, WorkerPacks(avatars, face.prepare, folder), places, token)


async def _prepare(face: FaceEngine, avatars: AvatarLibrary) -> None:
    """Prepare every avatar, so that no viewer waits for it; one that cannot be drawn is refused
    when it is asked for."""
    for avatar in avatars:
        try:
            await face.prepare(avatar)
        except DittoAvatarError as error:
            log.error("avatar %s cannot be drawn here: %s", avatar.name, error)


def _make_empty(folder: Path) -> None:
    """What servers brought to an earlier life of this worker may have been erased since."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
