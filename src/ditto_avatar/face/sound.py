"""The sound that faces move by."""

from __future__ import annotations

import numpy as np

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray


def checked_audio(audio: FloatArray) -> FloatArray:
    """A copy of `audio` (n,) as contiguous float32 within -1..1.

    Raises `InvalidAudio` for anything but one finite channel of floats.
    """
    if not isinstance(audio, np.ndarray) or audio.ndim != 1 or audio.dtype.kind != "f":
        came = (
            f"{audio.shape} {audio.dtype}"
            if isinstance(audio, np.ndarray)
            else type(audio).__name__
        )
        raise InvalidAudio(
            f"A face needs mono float samples (n,) at {SAMPLE_RATE_HZ} Hz, came {came}."
        )
    if not np.isfinite(audio).all():
        raise InvalidAudio("A face needs finite samples, came NaN or infinity.")
    return np.clip(audio, -1, 1).astype(np.float32)
