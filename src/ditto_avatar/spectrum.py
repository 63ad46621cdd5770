"""Compute log-mel bands of speech at 16 kHz, one row every ten milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

WINDOW: Final = 400
HOP: Final = 160
BANDS: Final = 26
_TRANSFORM: Final = 512
_LOW_HZ, _HIGH_HZ = 80.0, 7_600.0
# Energies below this are silence; it is about -80 dB of a full-scale sine.
_FLOOR: Final = 1e-4


def hops(samples: int) -> int:
    """Return how many rows `log_mel` gives for so many samples."""
    return max(0, (samples - WINDOW) // HOP + 1)


def log_mel(samples: FloatArray) -> FloatArray:
    """Return natural logarithms of the energy in 26 mel bands, (hops, 26), of samples (n,).

    Row k covers samples 160 k to 160 k + 400 through a Hann window. Bands after Davis and
    Mermelstein (1980): triangles evenly spaced in mel, 2595 log10(1 + f / 700).
    """
    count = hops(len(samples))
    if not count:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:count]
    window, filters = _tables()
    power = np.abs(np.fft.rfft(frames * window, _TRANSFORM)) ** 2
    result: FloatArray = np.log(power.astype(np.float32) @ filters + np.float32(_FLOOR))
    return result


@cache
def _tables() -> tuple[FloatArray, FloatArray]:
    window = np.hanning(WINDOW).astype(np.float32)
    frequencies = np.fft.rfftfreq(_TRANSFORM, 1 / SAMPLE_RATE_HZ)
    low, high = 2595 * np.log10(1 + np.array([_LOW_HZ, _HIGH_HZ]) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return window, filters
