"""A backend at work: what draws the streams that began with it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import torch

from ditto_avatar.face.ditto.audio import WINDOW, repeated
from ditto_avatar.face.ditto.batch_runner import BatchRunner
from ditto_avatar.face.ditto.condition import condition_rows, emotion_row
from ditto_avatar.face.ditto.load_controller import LoadController, Quality, levels
from ditto_avatar.face.ditto.models import DittoModels
from ditto_avatar.face.ditto.options import DittoOptions
from ditto_avatar.face.ditto.pipeline import Pipeline
from ditto_avatar.face.ditto.registration import Registration
from ditto_avatar.face.ditto.stream import Walk
from ditto_avatar.face.ditto.windows import CLIP_FRAMES, MotionStream, WindowOptions
from ditto_avatar.types import Emotion, FloatArray

NOBODY = -1  # the owner of work that is for all viewers


class Renderer:
    """Networks of one backend, the thread of their device, and how late it is. A stream begins and
    ends with the same one: pictures of two backends differ by rounding. `streams` are those that
    are open."""

    def __init__(
        self, models: DittoModels, options: DittoOptions, clock: Callable[[], float]
    ) -> None:
        self.models = models
        self.pipeline = Pipeline(models.runners, options.steps)
        overlap = options.overlap or models.config.overlap
        # Without a GPU nothing is in time; then quality is not what gives way. Nor does it before
        # the backend that stays is there: the other one has recorded full quality alone.
        steady = models.capacity is not None and models.coming is None
        full = (Quality(options.steps, overlap),)
        self.load_controller = LoadController(levels(options.steps, overlap) if steady else full)
        self.batch_runner = BatchRunner(
            self.pipeline,
            options.feature_cache_mb * 1024 * 1024,
            self.load_controller,
            clock,
            models.encode,
            whole_loops=options.template_frames <= 0,
        )
        self.streams = 0
        self._clock = clock
        self._silence: FloatArray | None = None

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self.models.runners.name

    async def silence(self, count: int) -> FloatArray:
        """Features (count, 1024) of silence, at most 80; encoded once."""
        if self._silence is None:
            silent = [np.zeros(WINDOW, np.float32)]
            rows = await self.batch_runner.encode(NOBODY, self._clock(), silent)
            self._silence = repeated(rows, CLIP_FRAMES)
        return self._silence[:count]

    async def close(self) -> None:
        """End its threads; what was not drawn is cancelled. Cancelling is safe."""
        await self.batch_runner.close()


def free_device_memory() -> None:
    """Give a GPU back what nobody uses any more. Blocks."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def silent_motion(
    registration: Registration, walk: Walk, windows: WindowOptions, silent: FloatArray
) -> MotionStream:
    """The motion of a stream that begins: it has heard silence, whose features are `silent`
    (overlap, 1024)."""
    neutral = np.repeat(emotion_row([Emotion.NEUTRAL])[None], len(silent), axis=0)
    conditions = condition_rows(silent, neutral, -len(silent), registration.motion, walk)
    return MotionStream(windows, registration.anchor, conditions)
