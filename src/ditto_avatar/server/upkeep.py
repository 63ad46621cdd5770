"""Clean up in the background for as long as a server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.server.faces import Faces
from ditto_avatar.session.cleaning import Cleaning
from ditto_avatar.session.ownership import Ownership
from ditto_avatar.session.registry import Registry

log = logging.getLogger(__name__)

_SWEEP_S = 30.0
_RENEW_S = 3.0
# How often is looked for what is days old.
_EXPIRE_S = 3_600.0


async def sweep(cleaning: Cleaning, clips: ClipFolder, metrics: Metrics) -> None:
    """Sweep the sessions and the clips every 30 s. Never returns; cancelling is safe."""
    jobs: dict[str, Callable[[], Awaitable[object]]] = {
        "sessions": cleaning.sweep,
        "clips": partial(asyncio.to_thread, clips.sweep),
    }
    while True:
        for name, job in jobs.items():
            try:
                await job()
            except Exception:
                # The border of a task: what could not be cleaned now is tried again.
                log.exception("cleaning up the %s failed", name)
                metrics.errors.labels("sweep").inc()
        await asyncio.sleep(_SWEEP_S)


async def expire(cleaning: Cleaning, faces: Faces, age_s: float | None, metrics: Metrics) -> None:
    """Remove conversations and visitors' faces older than `age_s` every hour; return at once where
    that is None. Cancelling is safe."""
    while age_s is not None:
        try:
            await cleaning.expire(age_s)
            await faces.expire(age_s)
        except Exception:
            # The border of a task: what could not be removed now is tried again.
            log.exception("what is older than DITTO_RETENTION_DAYS could not be removed")
            metrics.errors.labels("sweep").inc()
        await asyncio.sleep(_EXPIRE_S)


async def keep_lease(ownership: Ownership, registry: Registry, metrics: Metrics) -> None:
    """Renew this server's lease every 3 s, and let the sessions go that others have taken; return
    at once where there are no others. Cancelling is safe."""
    while ownership.shared:
        try:
            await ownership.renew()
            await registry.close_taken_over()
        except Exception:
            # The border of a task: the database may be back for the next time.
            log.exception("the lease could not be renewed")
            metrics.errors.labels("lease").inc()
        await asyncio.sleep(_RENEW_S)
