"""Reads speech from an audio file of any kind FFmpeg knows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

LONGEST_SECONDS = 600


def read_audio(path: Path) -> FloatArray:
    """The sound of `path` as mono float32 samples (n,) in -1..1 at 16 kHz.

    A video file gives its first sound track. Blocking: call it from a thread. Raises
    `InvalidAudio` for a file that is missing, is no audio, is empty, holds values that are not
    numbers, or lasts over ten minutes.
    """
    name = path.name
    if not path.is_file():
        raise InvalidAudio(f"'{name}' was expected to be an audio file, but there is no such file.")
    if path.stat().st_size == 0:
        raise InvalidAudio(f"'{name}' was expected to be an audio file, but it is empty.")
    try:
        samples = _decode(path)
    except (FFmpegError, ValueError) as error:
        raise InvalidAudio(f"'{name}' cannot be read as audio: {_reason(error)}.") from error
    if samples is None:
        raise InvalidAudio(f"'{name}' holds no sound track.")
    if not len(samples):
        raise InvalidAudio(f"'{name}' holds no samples.")
    if not np.isfinite(samples).all():
        raise InvalidAudio(f"'{name}' holds samples that are not numbers (NaN or infinite).")
    return np.clip(samples, -1.0, 1.0)


def _decode(path: Path) -> FloatArray | None:
    parts: list[FloatArray] = []
    count = 0
    with av.open(str(path), metadata_errors="replace") as container:
        if not container.streams.audio:
            return None
        resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        for frame in container.decode(container.streams.audio[0]):
            for converted in resampler.resample(frame):
                parts.append(converted.to_ndarray().reshape(-1).astype(np.float32))
                count += len(parts[-1])
            if count > LONGEST_SECONDS * SAMPLE_RATE_HZ:
                raise InvalidAudio(f"'{path.name}' is longer than {LONGEST_SECONDS // 60} minutes.")
        for converted in resampler.resample(None):
            parts.append(converted.to_ndarray().reshape(-1).astype(np.float32))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _reason(error: Exception) -> str:
    if isinstance(error, FFmpegError):
        return error.strerror or "the decoder gave up"
    return str(error)
