"""The command `ditto-avatar cluster`."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from ditto_avatar.errors import InvalidInput
from ditto_avatar.settings import Settings


def cluster(
    workers: Annotated[int, typer.Option(min=0, help="Workers to keep; 0 ends them all.")] = 1,
    most: Annotated[
        int | None, typer.Option(help="Workers to add up to while places are taken.")
    ] = None,
    ray: Annotated[str, typer.Option(help="Address of the Ray cluster.")] = "auto",
    host: Annotated[str, typer.Option(help="Address to tell servers at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to tell servers at.")] = 7139,
    gpus: Annotated[
        float | None, typer.Option(help="Cards of a worker (default: one where there are weights).")
    ] = None,
    cpus: Annotated[float, typer.Option(help="Cores of a worker.")] = 1.0,
) -> None:
    """Keep workers in a Ray cluster, and tell servers where they are (their DITTO_WORKERS is
    cluster://host:port)."""
    from ditto_avatar.cluster.ray_workers import Needs
    from ditto_avatar.cluster.scaling import Scaler
    from ditto_avatar.worker_cluster import run_cluster

    if most is not None and most < workers:
        raise InvalidInput(f"--most: expected at least --workers ({workers}), came {most}.")
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), force=True)
    cards = gpus if gpus is not None else float(settings.checkpoints is not None)
    scaler = Scaler(workers, workers if most is None else most)
    asyncio.run(run_cluster(settings, ray, (host, port), scaler, Needs(cpus, cards)))
