"""The CPU face engine: any number of performances share the models and a pool of threads."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary, WeakSet

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.motion import MotionTrack
from ditto_avatar.face.puppet.performance import PuppetPerformance
from ditto_avatar.face.puppet.playback import TrackActor
from ditto_avatar.face.puppet.renderer import Brush, Renderer


class PuppetEngine:
    """Draws on the CPU. `workers` threads draw (one per core unless told); each performance
    uses one at a time. With `motion`, performances act out that track instead of the sound."""

    name = "puppet"
    max_streams: int | None = None
    strained = False

    def __init__(self, workers: int | None = None, motion: MotionTrack | None = None) -> None:
        count = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="puppet")
        self._motion = motion
        self._renderers: WeakKeyDictionary[Avatar, Renderer] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._performances: WeakSet[PuppetPerformance] = WeakSet()

    @property
    def fingerprint(self) -> str:
        """What moves the face: the sound, or the content of a track."""
        if self._motion is None:
            return "sound"
        track = self._motion.weights.tobytes() + self._motion.head.tobytes()
        return hashlib.sha256(track).hexdigest()

    async def open(self, avatar: Avatar, start_frame: int = 0) -> PuppetPerformance:
        """Begin a performance at idle frame `start_frame`. Raises `InvalidAvatar` when the face
        is cut, turned away or too small."""
        loop = asyncio.get_running_loop()
        count = avatar.frame_count
        brush = await loop.run_in_executor(self._pool, self._brush, avatar, start_frame % count)
        actor = (
            Actor(eyes=not _blinks(avatar)) if self._motion is None else TrackActor(self._motion)
        )
        performance = PuppetPerformance(actor, brush.draw, self._pool, count, start_frame % count)
        self._performances.add(performance)
        return performance

    async def close(self) -> None:
        """Cancel what still runs and end the threads."""
        for performance in list(self._performances):
            await performance.cancel()
        await asyncio.to_thread(self._pool.shutdown)

    def _brush(self, avatar: Avatar, frame: int) -> Brush:
        return Brush(self._renderer(avatar), frame)

    def _renderer(self, avatar: Avatar) -> Renderer:
        # One lock for all avatars: a model takes a moment once, and two viewers of the same
        # avatar must not build it twice.
        with self._lock:
            renderer = self._renderers.get(avatar)
            if renderer is None:
                renderer = self._renderers[avatar] = Renderer(avatar)
            return renderer


def _blinks(avatar: Avatar) -> bool:
    """Whether the idle loop closes the eyes."""
    closure = avatar.arrays.eye_closure
    return closure is not None and float(closure.max()) > 0.5
