"""The device as the streams see it: they ask, it answers in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ditto_avatar.face.ditto.audio import FEATURES, Encode
from ditto_avatar.face.ditto.device_thread import Asked, BatchCount, DeviceThread, Results
from ditto_avatar.face.ditto.load_controller import LoadController
from ditto_avatar.face.ditto.pipeline import ClipJob, FrameJob, Pipeline, SourcePicture
from ditto_avatar.face.ditto.runtime.base import stay_on_device
from ditto_avatar.face.ditto.runtime.sound.encoder import DeviceEncoder
from ditto_avatar.face.ditto.scheduler import Backlog, Job, Kind
from ditto_avatar.face.ditto.source_frames import Cutout, PictureCache, SourceFrames
from ditto_avatar.types import ByteArray, FloatArray

log = logging.getLogger(__name__)

# 0.8 seconds of sound, for which a device takes hardly longer than for a window of it.
WINDOWS_AT_ONCE = 4
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PictureJob:
    """A frame to draw from idle frame `index`; keypoints (21, 3) each."""

    index: int
    source: FloatArray
    driving: FloatArray


@dataclass(frozen=True, slots=True)
class FrameWork:
    """A frame to draw, with the picture it is drawn from or what that is made of."""

    avatar: str
    frame: int
    base: SourcePicture | Cutout
    source: FloatArray
    driving: FloatArray


@dataclass(frozen=True, slots=True)
class SoundWork:
    """A window (6480,) of sound to encode."""

    window: FloatArray


Work = SoundWork | ClipJob | FrameWork


class BatchRunner:
    """One device, and the work of all viewers on it.

    Sound is encoded by `encoder`: on the device, in batches of all viewers, where it is a
    `DeviceEncoder`, else in threads beside it.
    With `whole_loops` streams move over all idle frames (see `PictureCache`)."""

    def __init__(
        self,
        pipeline: Pipeline,
        cache_bytes: int,
        load_controller: LoadController,
        clock: Callable[[], float],
        encoder: Encode,
        whole_loops: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._encoder = encoder
        self._load_controller = load_controller
        self._clock = clock
        self.observes = True
        """Whether late frames cost quality."""
        self.on_late: Callable[[], object] = lambda: None
        """Is called whenever they do."""
        self._cache = PictureCache(pipeline, cache_bytes, whole_loops)
        runners = pipeline.runners
        sizes = {Kind.CLIP: runners.clip_batches, Kind.FRAME: runners.batches}
        if isinstance(encoder, DeviceEncoder):
            sizes[Kind.SOUND] = encoder.batches

        def enter() -> None:
            stay_on_device(runners.device)

        def threads(count: int, name: str) -> ThreadPoolExecutor:
            return ThreadPoolExecutor(count, name, enter)

        self._device = DeviceThread(
            Backlog(sizes),
            self._begin,
            self._observe,
            clock,
            enter,
            overlaps=runners.device.type == "cuda",
        )
        self._sound = threads(2, "ditto-sound")
        self._cut = threads(2, "ditto-cut")
        self._register = threads(1, "ditto-register")

    def do(self, call: Callable[[], Any]) -> Future[Any]:
        """Do something on the device's thread, between two batches (`DeviceThread.do`)."""
        return self._device.do(call)

    @property
    def windows_at_once(self) -> int:
        """How many windows of one viewer are best encoded together. Beside the device's thread
        they come one after the other, and each keeps its viewer waiting."""
        return WINDOWS_AT_ONCE if isinstance(self._encoder, DeviceEncoder) else 1

    @property
    def counts(self) -> Mapping[Kind, BatchCount]:
        """The batches so far."""
        return self._device.counts

    async def on_registrar(self, call: Callable[[], Result]) -> Result:
        """Run a registration, one at a time: seconds in which others go on being drawn."""
        return await asyncio.get_running_loop().run_in_executor(self._register, call)

    async def on_sound(self, call: Callable[[], Result]) -> Result:
        """Run something about sound beside the device's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._sound, call)

    async def encode(
        self, owner: int, deadline: float, windows: Sequence[FloatArray]
    ) -> FloatArray:
        """Encode windows (6480,) of sound; return their features (5 n, 1024), in their order.
        Cancelling is safe."""
        if not windows:
            return np.zeros((0, FEATURES), np.float32)
        if isinstance(self._encoder, DeviceEncoder):
            asked = [self._ask(Kind.SOUND, owner, deadline, SoundWork(w)) for w in windows]
            return np.concatenate(await asyncio.gather(*asked))
        encoder = self._encoder
        return np.concatenate([await self.on_sound(partial(encoder, w)) for w in windows])

    async def predict(self, owner: int, deadline: float, work: ClipJob) -> FloatArray:
        """The motion (80, 265) of a clip."""
        clip: FloatArray = await self._ask(Kind.CLIP, owner, deadline, work)
        return clip

    async def draw(
        self,
        owner: int,
        source_frames: SourceFrames,
        deadlines: Sequence[float],
        works: Sequence[PictureJob],
    ) -> list[ByteArray]:
        """I420 pictures in the order of the jobs."""
        came = self._clock()
        bases = await self._bases(
            source_frames, {source_frames.frame(work.index) for work in works}
        )
        # The device can do nothing about the time that this took.
        waited = self._clock() - came
        asked = []
        for deadline, work in zip(deadlines, works, strict=True):
            frame = source_frames.frame(work.index)
            picture = FrameWork(source_frames.name, frame, bases[frame], work.source, work.driving)
            asked.append(self._ask(Kind.FRAME, owner, deadline + waited, picture))
        return list(await asyncio.gather(*asked))

    async def _bases(
        self, source_frames: SourceFrames, frames: set[int]
    ) -> dict[int, SourcePicture | Cutout]:
        """What each source frame is drawn from; what the device does not have yet is cut out
        beside its thread."""
        known = {frame: self._cache.find(source_frames.name, frame) for frame in sorted(frames)}
        bases: dict[int, SourcePicture | Cutout] = {
            frame: picture for frame, picture in known.items() if picture is not None
        }
        if missing := [frame for frame in known if frame not in bases]:
            loop = asyncio.get_running_loop()
            cutouts = await loop.run_in_executor(self._cut, source_frames.cut, missing)
            bases |= zip(missing, cutouts, strict=True)
        return bases

    def forget(self, owner: int) -> None:
        """Drop what a viewer still waited for."""
        self._device.drop(owner)

    async def close(self) -> None:
        """Stop the threads; what was not done is cancelled."""
        await self._device.close()
        for pool in (self._cut, self._sound, self._register):
            await asyncio.to_thread(pool.shutdown)

    def _ask(self, kind: Kind, owner: int, deadline: float, work: Work) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._device.add(Job(kind, owner, deadline, Asked(work, deadline, answer)))
        return answer

    def _begin(self, works: Sequence[Work]) -> Results:
        """Start one batch, of one kind."""
        windows = [work.window for work in works if isinstance(work, SoundWork)]
        if windows:
            assert isinstance(self._encoder, DeviceEncoder)
            return self._encoder.begin(windows)
        clips = [work for work in works if isinstance(work, ClipJob)]
        if clips:
            return self._pipeline.begin_clips(clips, self._load_controller.quality.steps)
        ready = [self._frame_job(work) for work in works if isinstance(work, FrameWork)]
        jobs = [job for job in ready if isinstance(job, FrameJob)]
        if not jobs:
            return lambda: ready
        drawing = self._pipeline.begin(jobs)

        def results() -> Sequence[Any]:
            frames = iter(drawing.frames())
            return [next(frames) if isinstance(job, FrameJob) else job for job in ready]

        return results

    def _frame_job(self, work: FrameWork) -> FrameJob | Exception:
        try:
            base = work.base
            if isinstance(base, Cutout):
                base = self._cache.make(work.avatar, work.frame, base)
        except Exception as error:  # one avatar's picture is no reason to fail its whole batch
            log.exception("Ditto failed on a picture of %s.", work.avatar)
            return error
        return FrameJob(base, work.source, work.driving)

    def _observe(self, asked: Asked, now: float) -> None:
        """Tell the load controller how late a frame was."""
        if not isinstance(asked.work, FrameWork) or not self.observes:
            return
        controller = self._load_controller
        level, before = controller.level, controller.quality
        after = controller.observe(now, now - asked.deadline)
        if after != before:
            log.warning("Ditto goes from %s to %s.", before, after)
        if controller.level > level:
            self.on_late()
