"""Store clips from tasks that may be cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import CancelledError, Executor, Future

from ditto_avatar.credentials.statement import Statement
from ditto_avatar.errors import DittoAvatarError
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.clip_signing import ClipSigner
from ditto_avatar.pipeline.clips import ClipFolder


class ClipWriter:
    """Write clips in the threads of `executor`. A thread cannot be stopped: the clip of a cancelled
    task is removed as soon as it is written."""

    def __init__(
        self, clips: ClipFolder, executor: Executor, signer: ClipSigner | None = None
    ) -> None:
        self._clips = clips
        self._executor = executor
        self._signer = signer or ClipSigner(clips)
        self._discarding: set[Future[None]] = set()

    async def store(self, media: SegmentMedia, statement: Statement) -> str:
        """Store `media` as a clip; return its name. It is signed afterwards. Raises `StorageFull`.
        Cancelling is safe: the clip is removed behind it, without being waited for."""
        stated = statement if self._signer.signs else None
        storing = self._executor.submit(self._clips.store, media.stream, media.audio, stated)
        try:
            name = await asyncio.wrap_future(storing)
        except asyncio.CancelledError:
            discarding = self._executor.submit(self._discard, storing)
            self._discarding.add(discarding)
            discarding.add_done_callback(self._discarding.discard)
            raise
        if stated is not None:
            self._signer.later(name)
        return name

    async def discarded(self) -> None:
        """Return once nothing is left on disk of clips whose storing was cancelled. Cancelling is
        safe."""
        if waiting := [asyncio.wrap_future(future) for future in self._discarding.copy()]:
            await asyncio.wait(waiting)

    def _discard(self, storing: Future[str]) -> None:
        with contextlib.suppress(CancelledError, DittoAvatarError):
            self._clips.remove([storing.result()])
