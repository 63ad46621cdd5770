"""Decodes sound files. A child process does this: `speech.audio_file` starts it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import ArgumentError, FFmpegError

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.guard.messages import Answer
from ditto_avatar.media.source import SOUNDS, open_media
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

# ITU-R BS.775 mixes side and back channels with 0.7.
_WEIGHTS = {"LFE": 0.0, "LFE2": 0.0, **dict.fromkeys(("BL", "BR", "SL", "SR", "BC"), 0.7)}


def check_audio(path: Path, longest_s: int) -> Answer:
    """Decode the file at `path`. The answer holds one array, see `decode_audio`."""
    return Answer({}, [decode_audio(path, longest_s)])


def decode_audio(path: Path, longest_s: int) -> FloatArray:
    """Decode the sound of `path` into mono float32 samples (n,) in -1..1 at 16 kHz.

    A video file gives its first sound track. Raises `InvalidAudio` for a file that is missing, is
    no audio, is empty, holds values that are not numbers, or lasts over `longest_s` seconds.
    Blocks.
    """
    name = path.name
    if not path.is_file():
        raise InvalidAudio(f"'{name}' was expected to be an audio file, but there is no such file.")
    if path.stat().st_size == 0:
        raise InvalidAudio(f"'{name}' was expected to be an audio file, but it is empty.")
    try:
        samples = _decode(path, longest_s)
    except (FFmpegError, ValueError) as error:
        raise InvalidAudio(f"'{name}' cannot be read as audio: {_reason(error)}.") from error
    if samples is None:
        raise InvalidAudio(f"'{name}' holds no sound track.")
    if not len(samples):
        raise InvalidAudio(f"'{name}' holds no samples.")
    if not np.isfinite(samples).all():
        raise InvalidAudio(f"'{name}' holds samples that are not numbers (NaN or infinite).")
    return np.clip(samples, -1.0, 1.0)


def _decode(path: Path, longest_s: int) -> FloatArray | None:
    parts: list[FloatArray] = []
    count = 0
    with open_media(path, SOUNDS) as container:
        if not container.streams.audio:
            return None
        # FFmpeg's own way to mono lets loud stereo overshoot: the channels are mixed here.
        resampler = AudioResampler(format="fltp", rate=SAMPLE_RATE_HZ)
        for frame in container.decode(container.streams.audio[0]):
            for converted in resampler.resample(frame):
                parts.append(_mono(converted))
                count += len(parts[-1])
            if count > longest_s * SAMPLE_RATE_HZ:
                raise InvalidAudio(f"'{path.name}' is longer than {longest_s} seconds.")
        for converted in resampler.resample(None):
            parts.append(_mono(converted))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _mono(frame: AudioFrame) -> FloatArray:
    """Mix channels (c, n) to mono (n,), with weights that add to one: surround channels count
    less than front ones, the one for low frequencies not at all."""
    channels = frame.to_ndarray()
    names = [channel.name for channel in frame.layout.channels]
    weights = np.array([_WEIGHTS.get(name, 1.0) for name in names], np.float32)
    if len(weights) != len(channels) or not weights.sum():
        weights = np.ones(len(channels), np.float32)
    mixed: FloatArray = (weights / weights.sum()) @ channels.astype(np.float32)
    return mixed


def _reason(error: Exception) -> str:
    if isinstance(error, ArgumentError):
        return "it is of another format than those that are read"
    if isinstance(error, FFmpegError):
        return error.strerror or "the decoder gave up"
    return str(error)
