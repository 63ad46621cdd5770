"""Sound for faces, as a speech engine brings it."""

from __future__ import annotations

import numpy as np

from ditto_avatar.face.base import FaceStream
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

PIECE = 4_000
"""Samples that come at once: a quarter of a second."""


def sound(frames: int) -> FloatArray:
    """Some sound, (n,) float32, for that many pictures."""
    return np.full(frames * SAMPLES_PER_FRAME, 0.2, np.float32)


async def speak(stream: FaceStream, frames: int) -> None:
    """Push one sentence for that many pictures, and finish the stream."""
    samples = sound(frames)
    for start in range(0, len(samples), PIECE):
        await stream.push(samples[start : start + PIECE])
    await stream.finish()
