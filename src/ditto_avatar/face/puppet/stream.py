"""One viewer's puppet: sound in, pictures out, a bounded number of them ahead."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from ditto_avatar.face.puppet.actor import Actor
from ditto_avatar.face.puppet.motion import Pose
from ditto_avatar.face.puppet.playback import TrackActor
from ditto_avatar.face.sound import checked_audio
from ditto_avatar.types import (
    FRAME_RATE_HZ,
    ByteArray,
    Emotion,
    FloatArray,
    Phoneme,
    VideoFrame,
)

# Pictures drawn ahead of the reader: enough to keep two threads busy, little to throw away.
_DRAWN_AHEAD: Final = 8
# Pictures drawn between two looks at the event loop; each of the first ones goes out alone, since
# somebody waits for the fragment that they make.
_BATCH: Final = 4
_ALONE: Final = 6
# Sound kept ahead of the reader; `push` waits beyond it.
_FRAMES_AHEAD: Final = 30 * FRAME_RATE_HZ

Draw = Callable[[int, Pose], ByteArray]


class PuppetStream:
    """See `face.base.FaceStream`. `actor` decides how the face moves. `draw` gives the picture of
    an idle frame in a pose; it runs on `pool`, for one stream on one thread at a time."""

    def __init__(
        self,
        actor: Actor | TrackActor,
        draw: Draw,
        pool: Executor,
        idle_frames: int,
        start_frame: int,
    ) -> None:
        self._draw = draw
        self._pool = pool
        self._idle_frames = idle_frames
        self._start_frame = start_frame
        self._actor = actor
        self._actor_lock = threading.Lock()
        self._drawn: deque[VideoFrame] = deque()
        self._count = 0
        self._given = 0
        self._read = 0
        self._finished = False
        self._cancelled = False
        self._error: BaseException | None = None
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._keep_drawing())

    async def push(
        self,
        audio: FloatArray,
        phonemes: Sequence[Phoneme] = (),
        emotion: Emotion = Emotion.NEUTRAL,
        intensity: float = 1.0,
    ) -> None:
        sound = checked_audio(audio)
        if self._finished:
            raise RuntimeError("push after finish")
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._cancelled or self._actor.pushed_frames - self._read < _FRAMES_AHEAD
            )
        if self._cancelled:
            return
        with self._actor_lock:
            self._actor.push(sound, phonemes, emotion, intensity)
        await self._tell()

    async def flush(self) -> None:
        with self._actor_lock:
            self._actor.flush()
        await self._tell()

    async def finish(self) -> None:
        self._finished = True
        await self.flush()

    def idle_frame(self, index: int) -> int:
        return (self._start_frame + index) % self._idle_frames

    async def cancel(self) -> None:
        self._cancelled = True
        self._drawn.clear()
        await self._tell()
        await asyncio.wait([self._task])

    async def __aiter__(self) -> AsyncIterator[VideoFrame]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._drawn or self._task_ended)
                if not self._drawn:
                    break
                frame = self._drawn.popleft()
                self._read += 1
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error

    @property
    def drawn_ahead(self) -> int:
        """Pictures that wait for the reader."""
        return len(self._drawn)

    @property
    def _task_ended(self) -> bool:
        return self._cancelled or self._error is not None or self._complete

    @property
    def _complete(self) -> bool:
        return self._finished and self._given == self._actor.pushed_frames

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _keep_drawing(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(
                        lambda: (
                            self._cancelled
                            or self._complete
                            or (self._actor.owed > 0 and len(self._drawn) < _DRAWN_AHEAD)
                        )
                    )
                if self._cancelled or self._complete:
                    return
                count = _BATCH if self._count >= _ALONE else 1
                made = await loop.run_in_executor(self._pool, self._draw_some, count)
                async with self._changed:
                    if not self._cancelled:
                        self._drawn.extend(made)
                        self._given += len(made)
                    self._changed.notify_all()
        except Exception as error:
            # The border of the task: the reader gets the error.
            self._error = error
            await self._tell()

    def _draw_some(self, count: int) -> list[VideoFrame]:
        made: list[VideoFrame] = []
        while len(made) < count and not self._cancelled:
            with self._actor_lock:
                if not self._actor.owed:
                    break
                pose = self._actor.act()
            idle_frame = self.idle_frame(self._count)
            made.append(VideoFrame(self._count, idle_frame, self._draw(idle_frame, pose)))
            self._count += 1
        return made
