"""Keep workers in a Ray cluster as the settings say: what `ditto-avatar cluster` does."""

from __future__ import annotations

import asyncio

from ditto_avatar import assembly
from ditto_avatar.cluster.directory import Directory
from ditto_avatar.cluster.listening import asked_to_stop, listen, stop_listening
from ditto_avatar.cluster.ray_workers import Needs, Opened, RayWorkers
from ditto_avatar.cluster.scaling import Scaler
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.errors import Unavailable
from ditto_avatar.memory import keep_for_good, return_large_buffers
from ditto_avatar.settings import Settings
from ditto_avatar.worker import check_exposure, open_worker


async def open_in_actor(host: str) -> Opened:
    """Load the engine of a worker, as the settings of its own node say: paths differ between
    machines, and secrets do not travel through Ray."""
    settings = Settings()
    tls = await asyncio.to_thread(assembly.worker_tls, settings)
    token = assembly.worker_token(settings)
    check_exposure(host, token, tls)
    return_large_buffers()
    face = await assembly.open_face(settings)
    try:
        worker = await open_worker(settings, face, None, token)
    except BaseException:
        await face.close()
        raise
    keep_for_good()
    return Opened(worker, tls, settings.shutdown_s)


async def run_cluster(
    settings: Settings, ray_address: str, address: tuple[str, int], scaler: Scaler, needs: Needs
) -> None:
    """Keep workers and say where they are, at `address`, until the process is asked to stop; the
    workers go on. With no worker wanted at most, end those that there are instead.

    Raises `Unavailable` without a Ray cluster and when the address is taken, `InvalidInput` when
    others could reach it without a secret.
    """
    host, _ = address
    token = assembly.worker_token(settings)
    tls = await asyncio.to_thread(assembly.worker_tls, settings)
    check_exposure(host, token, tls)
    workers = RayWorkers(open_in_actor, needs, scaler)
    await workers.connect(ray_address)
    try:
        if scaler.most == 0:
            await workers.end()
        else:
            await _keep(workers, address, token, tls)
    finally:
        await workers.close()


async def _keep(
    workers: RayWorkers, address: tuple[str, int], token: str | None, tls: Tls | None
) -> None:
    """Keep `workers` and say where they are, until the process is asked to stop."""
    host, port = address
    directory = Directory(lambda: workers.addresses, token)
    shown = f"[{host}]" if ":" in host else host
    try:
        server, _ = await listen(directory.handlers(), f"{shown}:{port}", tls)
    except OSError as error:
        raise Unavailable(f"The directory cannot listen: {error}.") from error
    keeping = asyncio.create_task(workers.keep())
    stopping = asyncio.create_task(asked_to_stop())
    try:
        await asyncio.wait([keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
    finally:
        for task in (keeping, stopping):
            task.cancel()
        try:
            await asyncio.wait([keeping, stopping])
        finally:
            await stop_listening(server)
