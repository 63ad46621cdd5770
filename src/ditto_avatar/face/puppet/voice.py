"""How loud and how bright the voice is, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ditto_avatar.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, FloatArray

# A voice quieter than this is silence, whatever came before.
_SILENCE_DB: Final = -50.0
# The span below the voice's own peak in which the mouth goes from closed to open.
_RANGE_DB: Final = 26.0
# The peak is believed to be at least this loud, and forgotten this slowly.
_LEAST_PEAK_DB: Final = -30.0
_FORGET_DB: Final = 0.12

_BANDS_HZ: Final = (80, 400, 900, 1_600, 2_600, 4_500, 7_800)


@dataclass(frozen=True, slots=True)
class Voice:
    """One frame of sound: `loudness` 0 to 1 relative to the voice's own peak (0 is silence),
    `bands` (6,) the share of the energy from 80 Hz to 7.8 kHz in six bands."""

    loudness: float
    bands: FloatArray


SILENCE: Final = Voice(0.0, np.zeros(len(_BANDS_HZ) - 1, np.float32))


class VoiceMeter:
    """Measures frames in order; remembers the loudest of the last seconds."""

    def __init__(self) -> None:
        self._peak_db = _LEAST_PEAK_DB
        self._window = np.hanning(SAMPLES_PER_FRAME).astype(np.float32)
        frequencies = np.fft.rfftfreq(SAMPLES_PER_FRAME, 1 / SAMPLE_RATE_HZ)
        self._edges = np.searchsorted(frequencies, _BANDS_HZ)

    def measure(self, samples: FloatArray) -> Voice:
        """One frame, samples (640,)."""
        power = np.abs(np.fft.rfft(samples * self._window)) ** 2
        bands = np.add.reduceat(power[: self._edges[-1]], self._edges[:-1])
        total = float(bands.sum())
        # 640 samples of a full-scale sine give about 640² * 3 / 32 * ... ; the level is relative
        # to the mean square that the window leaves.
        level_db = 10 * np.log10(total / (SAMPLES_PER_FRAME**2 * 0.1875) + 1e-12)
        self._peak_db = max(self._peak_db - _FORGET_DB, level_db, _LEAST_PEAK_DB)
        floor = max(self._peak_db - _RANGE_DB, _SILENCE_DB)
        span = max(self._peak_db - floor, 1.0)
        loudness = float(np.clip((level_db - floor) / span, 0, 1))
        shares = (bands / (total + 1e-9)).astype(np.float32)
        return Voice(loudness, shares)
