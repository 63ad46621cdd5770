"""The Ditto face engine: one device for all viewers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np

from ditto_avatar.errors import Busy, InvalidAvatar, InvalidImage, ShuttingDown
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.audio import WINDOW, SoundWindows, repeated
from ditto_avatar.face.ditto.batch_runner import BatchRunner
from ditto_avatar.face.ditto.checkpoint_files import FILES, place
from ditto_avatar.face.ditto.condition import condition_rows, emotion_row
from ditto_avatar.face.ditto.driving import DriveOptions, Driver
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.load_controller import LoadController, Quality, levels
from ditto_avatar.face.ditto.models import DittoModels, load_models
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.places import Places
from ditto_avatar.face.ditto.registration import Registration, registered
from ditto_avatar.face.ditto.rehearsal import Rehearsal, streams_of
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.source_frames import SourceFrames
from ditto_avatar.face.ditto.stream import DittoStream, Walk
from ditto_avatar.face.ditto.windows import CLIP_FRAMES, MotionStream, WindowOptions
from ditto_avatar.types import Emotion, FloatArray

log = logging.getLogger(__name__)

# A turn opens its next stream while its last one is still drawn and watched: for a minute at
# most (`UNHEARD_FRAMES`), and somewhat longer on a busy device.
OPEN_WAIT_S = 75.0
NOBODY = -1  # the owner of work that is for all viewers


class DittoEngine:
    """Draws with the Ditto networks. Weights are shared; what belongs to one viewer lives in its
    stream.

    `clock` gives the seconds that deadlines are counted in; `open` waits up to `wait_s` for a
    place."""

    name = "ditto"

    def __init__(
        self,
        models: DittoModels,
        options: DittoOptions,
        clock: Callable[[], float] = time.monotonic,
        wait_s: float = OPEN_WAIT_S,
    ) -> None:
        self._models = models
        self._options = options
        self._clock = clock
        self.pipeline = Pipeline(models.runners, options.steps)
        overlap = options.overlap or models.config.overlap
        # Without a GPU nothing is in time; then quality is not what gives way.
        full = (Quality(options.steps, overlap),)
        known = models.capacity is not None
        self._load_controller = LoadController(levels(options.steps, overlap) if known else full)
        cache_bytes = options.feature_cache_mb * 1024 * 1024
        whole_loops = options.template_frames <= 0
        self._batch_runner = BatchRunner(
            self.pipeline, cache_bytes, self._load_controller, clock, models.encode, whole_loops
        )
        self._batch_runner.on_late = self._admit_fewer
        limit = options.max_streams
        if limit is None and models.capacity is not None:
            limit = models.capacity.streams(CLIP_FRAMES - overlap)
        self._places = Places(limit)
        # Whether it is still to be counted what all stages do together.
        self._counts = self._uncounted = known and options.max_streams is None
        self._counting: asyncio.Task[None] | None = None
        self._counted_with: Avatar | None = None
        self.rehearsal: Callable[[], Rehearsal] = partial(Rehearsal, clock)
        self._wait_s = wait_s
        self._closed = False
        self._registrations: WeakKeyDictionary[Avatar, Registration] = WeakKeyDictionary()
        self._owners = count()
        self._streams: dict[int, DittoStream] = {}
        self._silence: FloatArray | None = None
        self._fingerprint = _fingerprint(models, options, overlap)
        config = models.config
        self._windows = WindowOptions(
            overlap,
            config.reset,
            None if config.kept is None else slice(*config.kept),
            config.bounds,
            config.smooth_motion,
        )

    @classmethod
    async def load(cls, options: DittoOptions) -> DittoEngine:
        """An engine from a checkpoint folder; takes seconds, off the event loop.

        Raises `InvalidCheckpoint` or `Unavailable`."""
        return cls(await asyncio.to_thread(load_models, options), options)

    @property
    def fingerprint(self) -> str:
        """The options that change a picture, the weights, and the backend that draws."""
        return self._fingerprint

    @property
    def streams(self) -> int:
        """Performances that are open."""
        return len(self._streams)

    @property
    def max_streams(self) -> int | None:
        """Performances that may be open at once: as set, or as measured on a GPU; None is any
        number. Fewer after the device was late, until it is measured again."""
        return self._places.limit

    @property
    def quality(self) -> Quality:
        """How clips are made now: full quality, or less while the device is late."""
        return self._load_controller.quality

    @property
    def strained(self) -> bool:
        """Whether that is less than full quality."""
        return self._load_controller.level > 0

    async def prepare(self, avatar: Avatar) -> None:
        """Register `avatar`, one avatar after the other, while others are drawn. On a GPU the
        first one is played for some seconds to count what all stages do together. Raises
        `InvalidAvatar` when no usable face is seen. Cancelling is safe."""
        await self._registered(avatar)
        self._counted_with = self._counted_with or avatar
        self._count_when_idle()
        if self._counting is not None:
            await asyncio.wait([self._counting])

    async def open(self, avatar: Avatar, start_frame: int = 0) -> DittoStream:
        """Begin a stream at idle frame `start_frame`; an avatar is registered at its first
        use. While all places are taken it waits in line. Raises `InvalidAvatar` when no usable
        face is seen, `Busy` when no place became free, `ShuttingDown` when the engine closes."""
        await self._take_place()
        try:
            await self._stop_counting()
            return await self._begin(avatar, start_frame, self._forget)
        except BaseException:
            self._places.give_back()
            raise

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.take()
        except TimeoutError as error:
            raise Busy(
                f"All {self.max_streams} places of this engine are taken; try again in a moment."
            ) from error

    # How many are admitted ---------------------------------------------------------------

    def _admit_fewer(self) -> None:
        """The device was late: no more than what it holds now, until it is counted again."""
        if self._counting is not None or not self._counts:
            return
        fewer = max(1, min(self.max_streams or 1, self.streams) - 1)
        log.warning("Ditto is late with %d streams; it takes %d now.", self.streams, fewer)
        self._places.limit = fewer
        self._uncounted = True

    def _count_when_idle(self) -> None:
        ready = self._counted_with is not None and not self._streams and not self._closed
        if self._uncounted and ready and self._counting is None:
            self._counting = asyncio.create_task(self._count(), name="ditto counts")

    async def _count(self) -> None:
        avatar = self._counted_with
        assert avatar is not None
        self._load_controller.reset()
        self._batch_runner.observes = False
        try:
            begin = partial(self._begin, avatar, 0, self._forget_rehearsed)
            rate = await self.rehearsal().play(begin, avatar.width, avatar.height)
            self._places.limit = streams_of(rate)
            self._uncounted = False
            log.info("Ditto makes %.0f frames a second: %d streams.", rate, self.max_streams)
        except Exception as error:  # the border of the task: the number from before stays
            log.warning("Ditto could not count what it holds: %s", error)
            self._uncounted = False
        finally:
            self._batch_runner.observes = True
            self._counting = None

    async def _stop_counting(self) -> None:
        """A viewer comes: what was begun is begun again when it has gone."""
        if (counting := self._counting) is not None:
            counting.cancel()
            await asyncio.wait([counting])
            self._counting = None  # which it does itself, if it had begun

    async def _begin(
        self, avatar: Avatar, start_frame: int, closed: Callable[[int], None]
    ) -> DittoStream:
        if self._closed:
            raise ShuttingDown("The face engine stops; it takes no new streams.")
        source_frames = SourceFrames(avatar, await self._registered(avatar))
        windows = replace(self._windows, overlap=self._load_controller.quality.overlap)
        if self._silence is None:
            silent = [np.zeros(WINDOW, np.float32)]
            rows = await self._batch_runner.encode(NOBODY, self._clock(), silent)
            self._silence = repeated(rows, CLIP_FRAMES)
        owner = next(self._owners)
        walk = Walk(
            start_frame % avatar.frame_count, avatar.frame_count, self._options.template_frames
        )
        stream = DittoStream(
            owner,
            self._batch_runner,
            source_frames,
            walk,
            Driver(source_frames.registration.motion, DriveOptions.for_video()),
            SoundWindows(),
            self._stream(source_frames, walk, windows, self._silence[: windows.overlap]),
            SeededNoise(
                self._options.seed + owner, (CLIP_FRAMES, MOTION), self._models.runners.device
            ),
            self._clock,
            closed,
        )
        self._streams[owner] = stream
        return stream

    async def close(self) -> None:
        """Cancel what still runs and end the threads."""
        self._closed = True
        await self._stop_counting()
        for stream in list(self._streams.values()):
            await stream.cancel()
        await self._batch_runner.close()

    async def _registered(self, avatar: Avatar) -> Registration:
        def register() -> Registration:
            found = self._registrations.get(avatar)
            if found is None:
                found = self._registrations[avatar] = registered(avatar, self._models)
            return found

        try:
            return await self._batch_runner.on_registrar(register)
        except InvalidImage as error:
            raise InvalidAvatar(f"Ditto cannot draw this avatar: {error}") from error

    def _stream(
        self, source_frames: SourceFrames, walk: Walk, windows: WindowOptions, silent: FloatArray
    ) -> MotionStream:
        registration, overlap = source_frames.registration, windows.overlap
        neutral = np.repeat(emotion_row([Emotion.NEUTRAL])[None], overlap, axis=0)
        conditions = condition_rows(silent, neutral, -overlap, registration.motion, walk)
        return MotionStream(windows, registration.anchor, conditions)

    def _forget(self, owner: int) -> None:
        if self._streams.pop(owner, None) is not None:
            self._places.give_back()
            self._count_when_idle()

    def _forget_rehearsed(self, owner: int) -> None:
        self._streams.pop(owner, None)


def _fingerprint(models: DittoModels, options: DittoOptions, overlap: int) -> str:
    # Reading the weights once more takes seconds: size and time tell a file that was replaced.
    files = [place(options.checkpoints, name) for name in sorted(FILES)]
    stats = [path.stat() for path in files if path.is_file()]
    # What runs, not what was asked for: "auto" is another backend after an update or a fallback,
    # and each rounds in its own way.
    runners = models.runners
    values = (
        models.key,
        *((stat.st_size, stat.st_mtime_ns) for stat in stats),
        *(options.steps, options.longest_side, options.template_frames, overlap),
        *(options.seed, runners.name, runners.device.type, str(runners.dtype)),
    )
    return hashlib.sha256(repr(values).encode()).hexdigest()
