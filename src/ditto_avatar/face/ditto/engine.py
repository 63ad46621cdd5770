"""The Ditto face engine: one device for all viewers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

from ditto_avatar.errors import InvalidAvatar, InvalidImage, ShuttingDown
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.base import Backends
from ditto_avatar.face.ditto.admission import Admission
from ditto_avatar.face.ditto.audio import SoundWindows
from ditto_avatar.face.ditto.batch_runner import BatchRunner
from ditto_avatar.face.ditto.driving import DriveOptions, Driver
from ditto_avatar.face.ditto.fingerprint import fingerprint_of
from ditto_avatar.face.ditto.layout import MOTION
from ditto_avatar.face.ditto.load_controller import Quality
from ditto_avatar.face.ditto.loading import load_models
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.preparation import Preparation
from ditto_avatar.face.ditto.registration import Registration, registered
from ditto_avatar.face.ditto.rehearsal import Rehearsal
from ditto_avatar.face.ditto.renderer import Renderer, free_device_memory, silent_motion
from ditto_avatar.face.ditto.sampler import SeededNoise
from ditto_avatar.face.ditto.source_frames import SourceFrames
from ditto_avatar.face.ditto.stream import DittoStream, Walk
from ditto_avatar.face.ditto.windows import CLIP_FRAMES, WindowOptions

log = logging.getLogger(__name__)

# A turn opens its next stream while its last one is still drawn and watched: for a minute at
# most (`UNHEARD_FRAMES`), and somewhat longer on a busy device.
OPEN_WAIT_S = 75.0


class DittoEngine:
    """Draws with the Ditto networks. Weights are shared; what belongs to one viewer lives in its
    stream.

    `clock` gives the seconds that deadlines are counted in; `open` waits up to `wait_s` for a
    place. Where `models` have a backend `coming`, that one is prepared while theirs draws, and
    draws the streams that begin once it is there. To be made where an event loop runs."""

    name = "ditto"

    def __init__(
        self,
        models: DittoModels,
        options: DittoOptions,
        clock: Callable[[], float] = time.monotonic,
        wait_s: float = OPEN_WAIT_S,
    ) -> None:
        self._options = options
        self._clock = clock
        self._wait_s = wait_s
        self._closed = False
        self.rehearsal: Callable[[], Rehearsal] = partial(Rehearsal, clock)
        self._admission = Admission(options, clock, self._play)
        self._renderer = self._begun(models)
        self._leaving: set[Renderer] = set()
        self._drawn: Avatar | None = None
        self._ends: set[asyncio.Task[None]] = set()
        self._registrations: WeakKeyDictionary[Avatar, Registration] = WeakKeyDictionary()
        self._owners = count()
        self._streams: dict[int, DittoStream] = {}
        config = models.config
        overlap = options.overlap or config.overlap
        coming = models.coming
        # Of the backend that stays: what it drew before is shown from the first moment on.
        self._lasting = models.runners.name if coming is None else coming.name
        self._fingerprint = fingerprint_of(models, options, overlap, self._lasting)
        self._windows = WindowOptions(
            overlap,
            config.reset,
            None if config.kept is None else slice(*config.kept),
            config.bounds,
            config.smooth_motion,
        )
        self.failed = 0
        """Backends that could not be prepared."""
        self._preparation: Preparation | None = None
        self._changing: asyncio.Task[None] | None = None
        if coming is not None:
            self._preparation = Preparation(coming, self._renderer.batch_runner.do)
            log.info("Ditto draws with %s until %s is ready.", self._renderer.name, coming.name)
            self._changing = asyncio.create_task(
                self._change_over(self._preparation), name="ditto prepares"
            )

    @classmethod
    async def load(cls, options: DittoOptions) -> DittoEngine:
        """An engine from a checkpoint folder; takes seconds, off the event loop. What takes minutes
        goes on behind.

        Raises `InvalidCheckpoint` or `Unavailable`."""
        return cls(await asyncio.to_thread(load_models, options, interim=True), options)

    @property
    def fingerprint(self) -> str:
        """The options that change a picture, the weights, and the backend that is to draw."""
        return self._fingerprint

    @property
    def backends(self) -> Backends:
        """The backend that draws what begins now, and the one that is prepared."""
        preparation = self._preparation
        return Backends(
            self._renderer.name, None if preparation is None else preparation.name, self.failed
        )

    @property
    def streams(self) -> int:
        """Performances that are open."""
        return len(self._streams)

    @property
    def max_streams(self) -> int | None:
        """Performances that may be open at once: as set, or as measured on a GPU; None is any
        number. Fewer after the device was late, until it is measured again, and before the backend
        that stays is there."""
        return self._admission.places.limit

    @property
    def quality(self) -> Quality:
        """How clips are made now: full quality, or less while the device is late."""
        return self._renderer.load_controller.quality

    @property
    def strained(self) -> bool:
        """Whether that is less than full quality, or another backend than the fingerprint says
        draws: such pictures are not worth keeping."""
        other = self._renderer.name != self._lasting or bool(self._leaving)
        return other or self._renderer.load_controller.level > 0

    @property
    def pipeline(self) -> Pipeline:
        """What streams that begin now are drawn with."""
        return self._renderer.pipeline

    @property
    def _batch_runner(self) -> BatchRunner:
        return self._renderer.batch_runner

    async def prepared(self) -> None:
        """Wait until no backend is being prepared any more. Cancelling is safe."""
        if self._changing is not None:
            await asyncio.wait([self._changing])

    async def prepare(self, avatar: Avatar) -> None:
        """Register `avatar`, one avatar after the other, while others are drawn. On a GPU the
        first one is played for some seconds to count what all stages do together, unless that is
        known from an earlier start. Raises `InvalidAvatar` when no usable face is seen. Cancelling
        is safe."""
        await self._registered(avatar)
        self._admission.count_with(avatar)
        await self._admission.counted()

    async def open(self, avatar: Avatar, start_frame: int = 0) -> DittoStream:
        """Begin a stream at idle frame `start_frame`; an avatar is registered at its first
        use. While all places are taken it waits in line. Raises `InvalidAvatar` when no usable
        face is seen, `Busy` when no place became free, `ShuttingDown` when the engine closes."""
        await self._admission.take(self._wait_s)
        try:
            await self._admission.stop()
            return await self._begin(avatar, start_frame, self._admission.give_back)
        except BaseException:
            self._admission.give_back()
            raise

    # One backend after another ------------------------------------------------------------

    def _begun(self, models: DittoModels) -> Renderer:
        renderer = Renderer(models, self._options, self._clock)
        renderer.batch_runner.on_late = self._admission.admit_fewer
        self._admission.begin(renderer)
        return renderer

    async def _change_over(self, preparation: Preparation) -> None:
        """Let a backend take over once it is there: streams that begin then are drawn with it."""
        try:
            models = await preparation.made()
        except Exception as error:  # the border of the task: what draws now goes on
            self.failed += 1
            name = self._renderer.name
            log.exception(
                "Ditto goes on with %s: %s failed.", name, preparation.name, exc_info=error
            )
            self._admission.stay()
        else:
            old, self._renderer = self._renderer, self._begun(models)
            log.info("Ditto draws with %s now; %d streams end with %s.",
                     self._renderer.name, old.streams, old.name)  # fmt: skip
            self._leaving.add(old)
            self._let_go(old)
            if self._drawn is not None:
                self._admission.count_with(self._drawn)
            self._admission.count_when_idle()
        finally:
            self._preparation = None

    def _let_go(self, renderer: Renderer) -> None:
        """Close a backend that was left, once nobody is drawn with it."""
        if renderer in self._leaving and not renderer.streams:
            self._leaving.discard(renderer)
            ending = asyncio.create_task(self._end(renderer), name="ditto backend ends")
            self._ends.add(ending)
            ending.add_done_callback(self._ends.discard)

    async def _end(self, renderer: Renderer) -> None:
        await renderer.close()
        await asyncio.to_thread(free_device_memory)

    async def _play(self, renderer: Renderer, avatar: Avatar) -> float:
        begin = partial(self._begin, avatar, 0, lambda: None)
        return await self.rehearsal().play(begin, avatar.width, avatar.height)

    async def _begin(
        self, avatar: Avatar, start_frame: int, closed: Callable[[], None]
    ) -> DittoStream:
        if self._closed:
            raise ShuttingDown("The face engine stops; it takes no new streams.")
        source_frames = SourceFrames(avatar, await self._registered(avatar))
        self._drawn = avatar
        renderer = self._renderer
        renderer.streams += 1
        try:
            windows = replace(self._windows, overlap=renderer.load_controller.quality.overlap)
            silence = await renderer.silence(windows.overlap)
        except BaseException:
            renderer.streams -= 1
            self._let_go(renderer)
            raise
        owner = next(self._owners)
        walk = Walk(
            start_frame % avatar.frame_count, avatar.frame_count, self._options.template_frames
        )
        stream = DittoStream(
            owner,
            renderer.batch_runner,
            source_frames,
            walk,
            Driver(source_frames.registration.motion, DriveOptions.for_video()),
            SoundWindows(),
            silent_motion(source_frames.registration, walk, windows, silence),
            SeededNoise(
                self._options.seed + owner, (CLIP_FRAMES, MOTION), renderer.models.runners.device
            ),
            self._clock,
            partial(self._forget, renderer, closed),
        )
        self._streams[owner] = stream
        return stream

    async def close(self) -> None:
        """Cancel what still runs and end the threads. Cancelling is safe: call it again to wait
        for their ends."""
        self._closed = True
        self._admission.end()
        if self._changing is not None:
            if not self._changing.cancelling():  # once, or it would not wait for its thread
                self._changing.cancel()
            await asyncio.wait([self._changing])
        await self._admission.stop()
        for stream in list(self._streams.values()):
            await stream.cancel()
        for renderer in (*self._leaving, self._renderer):
            await renderer.close()
        if self._ends:
            await asyncio.wait(self._ends)

    async def _registered(self, avatar: Avatar) -> Registration:
        models = self._renderer.models

        def register() -> Registration:
            found = self._registrations.get(avatar)
            if found is None:
                found = self._registrations[avatar] = registered(avatar, models)
            return found

        try:
            return await self._batch_runner.on_registrar(register)
        except InvalidImage as error:
            raise InvalidAvatar(f"Ditto cannot draw this avatar: {error}") from error

    def _forget(self, renderer: Renderer, closed: Callable[[], None], owner: int) -> None:
        if self._streams.pop(owner, None) is not None:
            renderer.streams -= 1
            self._let_go(renderer)
            closed()
