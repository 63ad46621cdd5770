"""Open what a server keeps on disk: the conversations, clips and cached segments."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from ditto_avatar.clock import AgeClock
from ditto_avatar.credentials.opening import open_credentials
from ditto_avatar.metrics import Metrics
from ditto_avatar.pipeline.bucket_clips import Bucket, BucketClips
from ditto_avatar.pipeline.cache import SegmentCache
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clip_writer import ClipWriter
from ditto_avatar.pipeline.clips import ClipFolder
from ditto_avatar.server.private_files import keep_private
from ditto_avatar.session.database import sqlite_url
from ditto_avatar.session.erasure import Erasure
from ditto_avatar.session.store import Store
from ditto_avatar.settings import Settings, revealed

log = logging.getLogger(__name__)

# Nobody writes a clip for so long.
_UNFINISHED_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Storage:
    """Hold what a server keeps. The threads of `executor` encode pictures and write clips."""

    store: Store
    clips: ClipFolder
    clip_writer: ClipWriter
    clip_signer: ClipSigner
    cache: SegmentCache
    executor: ThreadPoolExecutor

    def erasure(self) -> Erasure:
        """Make the eraser of all of it."""
        return Erasure(self.store, self.clips, self.cache, self.clip_writer)


async def open_storage(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Storage:
    """Open the data folder and the database, and clear what a killed process left unfinished;
    `stack` closes them. Raises `Unavailable`."""
    await asyncio.to_thread(keep_private, settings.data_dir)
    ages = AgeClock()
    clips = _open_clips(settings, ages)
    cache = SegmentCache(settings.data_dir / "cache", settings.cache_mb * 1024 * 1024, ages)
    # Version 0.1 kept everybody's sentences together there.
    former = partial(shutil.rmtree, settings.data_dir / "takes", ignore_errors=True)
    others_write_s = 0.0 if settings.peer_url is None else _UNFINISHED_S
    clear_clips = partial(clips.clear_unfinished, others_write_s)
    for clear in (clear_clips, cache.clear_unfinished, former):
        await asyncio.to_thread(clear)
    store = Store(
        settings.database_url or sqlite_url(settings.data_dir),
        ages,
        shared=settings.peer_url is not None,
    )
    stack.push_async_callback(store.close)
    if interrupted := await store.start():
        log.info("%d answers had been interrupted by the last stop", interrupted)
    executor = ThreadPoolExecutor(thread_name_prefix="encode")
    stack.callback(executor.shutdown)
    credentials = await asyncio.to_thread(open_credentials, settings)
    signer = ClipSigner(clips, credentials, metrics.credentials_failed.inc)
    stack.push_async_callback(signer.close)
    return Storage(store, clips, ClipWriter(clips, executor, signer), signer, cache, executor)


def _open_clips(settings: Settings, ages: AgeClock) -> ClipFolder:
    """Open the folder of the clips, with the store behind it if the settings name one. Raises
    `InvalidInput` and `Unavailable`."""
    folder = settings.data_dir / "clips"
    max_age_s = min(settings.clip_max_age_s, settings.retention_s or math.inf)
    max_bytes = settings.clip_max_mb * 1024 * 1024
    if settings.clips_url is None:
        return ClipFolder(folder, max_age_s=max_age_s, max_bytes=max_bytes, clock=ages)
    bucket = Bucket(
        settings.clips_url,
        endpoint=settings.clips_endpoint,
        region=settings.clips_region,
        key_id=revealed(settings.clips_key_id),
        secret=revealed(settings.clips_secret),
    )
    return BucketClips(folder, bucket, max_age_s=max_age_s, max_bytes=max_bytes, clock=ages)
