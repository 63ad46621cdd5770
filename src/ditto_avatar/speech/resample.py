"""Sample rates: everything behind a speech engine runs at 16 kHz."""

from __future__ import annotations

import numpy as np
import soxr

from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray


class StreamResampler:
    """Resamples a stream of mono float32 samples from `source_hz` to 16 kHz.

    What comes out lags a few milliseconds behind what went in until `finish`; over the whole
    stream n samples become ``n * 16000 / source_hz``, so times scale by that ratio.
    """

    def __init__(self, source_hz: int) -> None:
        self._stream = (
            None
            if source_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(source_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )

    def push(self, samples: FloatArray) -> FloatArray:
        """The samples (m,) that are ready after `samples` (n,)."""
        return self._resample(samples, last=False)

    def finish(self) -> FloatArray:
        """The samples still inside; nothing may be pushed after this."""
        return self._resample(np.zeros(0, np.float32), last=True)

    def _resample(self, samples: FloatArray, *, last: bool) -> FloatArray:
        if self._stream is None:
            return samples
        ready: FloatArray = self._stream.resample_chunk(samples, last=last)
        return ready


def pcm16_to_float(data: bytes) -> FloatArray:
    """Little-endian signed 16-bit samples as float32 in -1..1; `data` has an even length."""
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
