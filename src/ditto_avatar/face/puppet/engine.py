"""The CPU face engine: any number of streams share the models and a pool of threads."""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from weakref import WeakKeyDictionary, WeakSet

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.motion import MotionTrack
from ditto_avatar.face.puppet.playback import TrackActor
from ditto_avatar.face.puppet.renderer import FramePainter, Renderer
from ditto_avatar.face.puppet.stream import PuppetStream


class PuppetEngine:
    """Draws on the CPU. `workers` threads draw (one per core unless told); each stream
    uses one at a time. With `motion`, streams act out that track instead of the sound."""

    name = "puppet"
    max_streams: int | None = None
    strained = False

    def __init__(self, workers: int | None = None, motion: MotionTrack | None = None) -> None:
        count = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="puppet")
        self._motion = motion
        # Preparing a face takes a second; drawing must not wait behind it.
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="puppet-prepare")
        self._renderers: WeakKeyDictionary[Avatar, Future[Renderer]] = WeakKeyDictionary()
        self._streams: WeakSet[PuppetStream] = WeakSet()

    @property
    def fingerprint(self) -> str:
        """What moves the face: the sound, or the content of a track."""
        if self._motion is None:
            return "sound"
        track = self._motion.weights.tobytes() + self._motion.head.tobytes()
        return hashlib.sha256(track).hexdigest()

    async def prepare(self, avatar: Avatar) -> None:
        """Build what draws `avatar`, one avatar after the other, beside the threads that draw.
        Raises `InvalidAvatar`. Cancelling is safe."""
        await self._renderer(avatar)

    async def open(self, avatar: Avatar, start_frame: int = 0) -> PuppetStream:
        """Begin a stream at idle frame `start_frame`. Raises `InvalidAvatar` when the face
        is cut, turned away or too small. Cancelling is safe."""
        renderer = await self._renderer(avatar)
        loop = asyncio.get_running_loop()
        count = avatar.frame_count
        first = start_frame % count
        painter = await loop.run_in_executor(self._pool, FramePainter, renderer, first)
        actor = (
            Actor(eyes=not _blinks(avatar)) if self._motion is None else TrackActor(self._motion)
        )
        stream = PuppetStream(actor, painter.draw, self._pool, count, first)
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        """Cancel what still runs and end the threads."""
        for stream in list(self._streams):
            await stream.cancel()
        await asyncio.to_thread(self._preparer.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._pool.shutdown)

    async def _renderer(self, avatar: Avatar) -> Renderer:
        # All viewers of an avatar wait for the same work, whichever of them gives up.
        built = self._renderers.get(avatar)
        if built is None:
            built = self._renderers[avatar] = self._preparer.submit(Renderer, avatar)
        try:
            return await asyncio.shield(asyncio.wrap_future(built))
        except Exception:
            if self._renderers.get(avatar) is built:
                del self._renderers[avatar]
            raise


def _blinks(avatar: Avatar) -> bool:
    """Whether the idle loop closes the eyes."""
    closure = avatar.arrays.eye_closure
    return closure is not None and float(closure.max()) > 0.5
