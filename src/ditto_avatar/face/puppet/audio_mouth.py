"""Estimate the mouth from the sound alone, frame by frame.

`SoundMeter` measures loudness and bands. `MouthNetwork` estimates the channels of the mouth from
them; it was fitted to speech whose phonemes are known (``studio/fit_voice.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np

from ditto_avatar.face.puppet.visemes import CHANNELS, Channel
from ditto_avatar.spectrum import BANDS, HOP, WINDOW, log_mel
from ditto_avatar.types import SAMPLES_PER_FRAME, FloatArray

# Frames before and after the one in question that the estimate looks at.
CONTEXT: Final = 3
FEATURES: Final = 2 * BANDS

# Natural logarithms of energy. A voice is believed to peak at least here (a murmur), and its peak
# is forgotten this slowly a frame; what is this far below the peak is silence.
_LEAST_PEAK: Final = 1.0
_FORGET: Final = 0.028
_SPAN: Final = 6.5
_SILENCE: Final = -1.0
_OVERLAP: Final = WINDOW - HOP
# 300 Hz to 3 kHz.
_VOWEL_BANDS: Final = slice(3, 18)
# Loudness grows with this power of the energy (Stevens 1957).
_LOUDNESS_POWER: Final = 0.3
_HARD: Final = np.array([Channel.CLOSE, Channel.BITE, Channel.TONGUE])
_CONTRAST: Final = 1.8
_SHAPED: Final = np.array([Channel.ROUND, Channel.FUNNEL])
_MORE: Final = 1.3
_BIAS: Final = 0.25
# How much of the jaw follows the voice's energy directly, and how far at the voice's peak.
_BY_ENERGY: Final = 0.56
_AT_PEAK: Final = 0.9


@dataclass(frozen=True, slots=True)
class VoicedFrame:
    """One frame of sound: `loudness` from 0 (silence) to 1 (the voice's own peak), `voiced` the
    same between 300 Hz and 3 kHz, where an open mouth is heard, `bands` (52,) the mel bands of
    its two halves relative to the peak, mostly 0 to 1."""

    loudness: float
    voiced: float
    bands: FloatArray


SILENCE: Final = VoicedFrame(0.0, 0.0, np.zeros(FEATURES, np.float32))


class SoundMeter:
    """Measures frames in order; remembers the end of the last one and the loudest of late."""

    def __init__(self) -> None:
        self._before = np.zeros(_OVERLAP, np.float32)
        self._peak = _LEAST_PEAK

    def measure(self, samples: FloatArray) -> VoicedFrame:
        """One frame, samples (640,)."""
        # One shape for every frame: the sums come out the same to the last bit.
        bands = log_mel(np.concatenate([self._before, samples]))
        self._before = samples[SAMPLES_PER_FRAME - _OVERLAP :].copy()
        energy = np.exp(bands)
        level = float(np.log(energy.sum(1) + 1e-3).mean())
        vowels = float(np.log(energy[:, _VOWEL_BANDS].sum(1) + 1e-3).mean())
        self._peak = max(self._peak - _FORGET, level, _LEAST_PEAK)
        floor = max(self._peak - _SPAN, _SILENCE)
        loudness = float(np.clip((level - floor) / (self._peak - floor), 0, 1))
        least = np.exp(_LOUDNESS_POWER * (floor - self._peak))
        sones = np.exp(_LOUDNESS_POWER * (vowels - self._peak))
        voiced = float(np.clip((sones - least) / (1 - least), 0, 1))
        halves = bands.reshape(2, -1, BANDS).mean(1)
        relative = np.clip(1 + (halves - np.float32(self._peak)) / 9, 0, 1.5)
        return VoicedFrame(loudness, voiced, relative.reshape(-1).astype(np.float32))


def sounded(channels: FloatArray, voiced: float) -> FloatArray:
    """`channels` (8,) of the phonemes with the jaw as open as the voice (0 to 1) sounds: a whisper
    opens less than a shout, whatever the vowel."""
    result = channels.copy()
    shaped = channels[Channel.JAW] * np.float32(0.5 + 0.5 * voiced)
    energy = np.float32(_AT_PEAK * voiced)
    result[Channel.JAW] = (1 - _BY_ENERGY) * shaped + _BY_ENERGY * energy
    return result


@dataclass(frozen=True, slots=True)
class MouthNetwork:
    """A network of one hidden layer: channels from the bands around a frame.

    `mean` and `scale` (7 * 52,) bring the bands to the range the network was fitted in.
    """

    mean: FloatArray
    scale: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    output_bias: FloatArray

    def channels(self, around: Sequence[VoicedFrame]) -> FloatArray:
        """Channels (8,), 0 to 1, of the middle one of 7 frames."""
        bands = np.concatenate([voice.bands for voice in around])
        seen = (bands - self.mean) * self.scale
        # Not a product of matrices: see `fields.combine`.
        hidden = np.tanh(np.einsum("i,ij->j", seen, self.hidden) + self.hidden_bias)
        guess = hidden @ self.output + self.output_bias
        # Where the ear is unsure the fit answers with an average; lips either close or do not.
        guess[_HARD] = _CONTRAST * (guess[_HARD] - 0.5) + 0.5 + _BIAS
        guess[_SHAPED] *= _MORE
        result: FloatArray = np.clip(guess, 0, 1)
        return result


@cache
def mouth_network() -> MouthNetwork:
    """The network that comes with the package."""
    source = resources.files("ditto_avatar.face.puppet") / "voice.npz"
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as file:
        arrays = [file[name].astype(np.float32) for name in MouthNetwork.__slots__]
    made = MouthNetwork(*arrays)
    assert made.output.shape[1] == CHANNELS
    return made
