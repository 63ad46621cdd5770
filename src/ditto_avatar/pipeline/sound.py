"""Hold the sound of a segment while it grows."""

from __future__ import annotations

import numpy as np

from ditto_avatar.types import FloatArray


class SegmentSound:
    """Hold the samples (n,) at 16 kHz of one segment so far. An object of its own, so that the
    microphone's echo reference does not keep the pictures in memory as well."""

    __slots__ = ("samples",)

    def __init__(self, samples: FloatArray | None = None) -> None:
        self.samples: FloatArray = np.zeros(0, np.float32) if samples is None else samples

    def add(self, samples: FloatArray) -> None:
        """Append samples (n,)."""
        self.samples = np.concatenate((self.samples, samples))
