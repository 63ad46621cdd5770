"""How many streams an engine admits: as set, as counted, or what is known to be held until it is
counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from ditto_avatar.cores import usable_cores
from ditto_avatar.errors import Busy
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.ditto.load_controller import CALM_S
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.places import Places
from ditto_avatar.face.ditto.rehearsal import streams_of
from ditto_avatar.face.ditto.renderer import Renderer
from ditto_avatar.face.ditto.windows import CLIP_FRAMES

log = logging.getLogger(__name__)

QUESTION = "counted"
PROCESSORS = Path("/proc/cpuinfo")
Play = Callable[[Renderer, Avatar], Awaitable[float]]
"""Plays streams of an avatar as fast as can be; gives the frames a second."""


class Admission:
    """The places of an engine. Belongs to the event loop.

    On a GPU they are counted by `play` while nobody speaks, and what was counted is kept for the
    next start on this machine. Until then a backend that takes over admits what the one before it
    held, and one more whenever all places are taken and no frame was late for ten seconds."""

    def __init__(self, options: DittoOptions, clock: Callable[[], float], play: Play) -> None:
        self.places = Places(options.max_streams)
        self.counts = False
        """Whether what is admitted is counted, and falls when the device is late."""
        self._options = options
        self._clock = clock
        self._play = play
        self._renderer: Renderer | None = None
        self._avatar: Avatar | None = None
        self._uncounted = self._recalled = False
        self._most = 0
        self._since = clock()
        self._counting: asyncio.Task[None] | None = None

    def begin(self, renderer: Renderer) -> None:
        """Streams begin with `renderer` from now on."""
        before, self._renderer, self._since = self._renderer, renderer, self._clock()
        capacity, coming = renderer.models.capacity, renderer.models.coming
        limit = self._options.max_streams
        if capacity is None:
            self.places.limit = limit
            return
        if coming is not None:
            self.places.limit = min(coming.places, limit or coming.places)
            return
        overlap = renderer.load_controller.quality.overlap
        self._most = capacity.streams(CLIP_FRAMES - overlap)
        if limit is not None:
            self.places.limit = limit
            return
        if before is None or self.places.limit is None:
            self.places.limit = self._most
        self.counts = self._uncounted = True
        self._recall()

    def stay(self) -> None:
        """Nothing takes over: what drew until now is all there will be."""
        assert self._renderer is not None
        if self._options.max_streams is None and self._renderer.models.capacity is not None:
            self.counts = self._uncounted = True
            self._most = self.places.limit or 0
            self.count_when_idle()

    async def take(self, wait_s: float) -> None:
        """Wait in line for a place. Raises `Busy` when none became free within `wait_s`."""
        self._grow()
        try:
            async with asyncio.timeout(wait_s):
                await self.places.take()
        except TimeoutError as error:
            raise Busy(
                f"All {self.places.limit} places of this engine are taken; try again in a moment."
            ) from error

    def give_back(self) -> None:
        """End a place."""
        self.places.give_back()
        self.count_when_idle()

    def admit_fewer(self) -> None:
        """The device was late: no more than what it holds now, until it is counted again."""
        if self._counting is not None or not self.counts or self._renderer is None:
            return
        held = self._renderer.streams
        fewer = max(1, min(self.places.limit or 1, held) - 1)
        log.warning("Ditto is late with %d streams; it takes %d now.", held, fewer)
        self.places.limit = self._most = fewer
        self._uncounted = True

    def count_with(self, avatar: Avatar) -> None:
        """Count with this avatar, if there is none yet, once nobody speaks."""
        if self._avatar is None:
            self._avatar = avatar
            self._recall()

    async def counted(self) -> None:
        """Wait until it is counted, unless it was on this machine before. Cancelling is safe."""
        self.count_when_idle()
        if self._counting is not None and not self._recalled:
            await asyncio.wait([self._counting])

    def count_when_idle(self) -> None:
        """Begin to count, if that is still to be done and nobody speaks."""
        ready = self._avatar is not None and not self.places.taken
        if self._uncounted and ready and self._counting is None:
            self._counting = asyncio.create_task(self._count(), name="ditto counts")

    async def stop(self) -> None:
        """A viewer comes: what was begun is begun again when it has gone."""
        if (counting := self._counting) is not None:
            counting.cancel()
            await asyncio.wait([counting])
            self._counting = None  # which it does itself, if it had begun

    def end(self) -> None:
        """Count no more."""
        self._uncounted = self.counts = False

    async def _count(self) -> None:
        renderer, avatar = self._renderer, self._avatar
        assert renderer is not None
        assert avatar is not None
        renderer.load_controller.reset()
        renderer.batch_runner.observes = False
        try:
            rate = await self._play(renderer, avatar)
            self.places.limit = streams_of(rate)
            self._uncounted = False
            log.info("Ditto makes %.0f frames a second: %d streams.", rate, self.places.limit)
            kept = {"frames_per_s": round(rate, 1)}
            verdicts, key = renderer.models.verdicts, self._key(renderer, avatar)
            await asyncio.to_thread(verdicts.keep, QUESTION, kept, **key)
        except Exception as error:  # the border of the task: the number from before stays
            log.warning("Ditto could not count what it holds: %s", error)
            self._uncounted = False
        finally:
            renderer.batch_runner.observes = True
            self._counting = None

    def _recall(self) -> None:
        """Take what was counted on this machine before; it is counted again all the same."""
        if not self._uncounted or self._avatar is None or self._renderer is None:
            return
        key = self._key(self._renderer, self._avatar)
        kept = self._renderer.models.verdicts.find(QUESTION, **key)
        rate = None if kept is None else kept.get("frames_per_s")
        if isinstance(rate, int | float) and rate > 0:
            self.places.limit = streams_of(rate)
            self._recalled = True
            log.info("Ditto made %.0f frames a second here before.", rate)

    def _key(self, renderer: Renderer, avatar: Avatar) -> dict[str, object]:
        quality = renderer.load_controller.levels[0]
        return {
            "backend": renderer.name,
            "encoder": type(renderer.models.encode).__name__,
            "quality": quality,
            "size": f"{avatar.width}x{avatar.height}",
            "cores": usable_cores(),
            "processor": processor(),
        }

    def _grow(self) -> None:
        """Admit one more where all places are taken and the device has long had time to spare."""
        limit, now = self.places.limit, self._clock()
        if limit is None or not self._uncounted or self._counting is not None:
            return
        renderer = self._renderer
        held = renderer is not None and renderer.load_controller.calm(now)
        if self.places.taken >= limit < self._most and held and now - self._since >= CALM_S:
            self._since = now
            self.places.limit = limit + 1
            log.info("Ditto had time to spare with %d streams; it takes one more.", limit)


def processor() -> str:
    """The name of the host's processor."""
    try:
        lines = PROCESSORS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
