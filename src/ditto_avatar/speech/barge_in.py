"""Whether what the microphone hears while the presenter speaks is a person who interrupts.

Browsers take most of the loudspeaker's sound out of the microphone. What is left of it must not
stop the presenter, so it is compared with what was played: by its loudness over time, and once
there is a transcript, by its words.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Int16Array

_HOP_SAMPLES = SAMPLE_RATE_HZ // 50
_WINDOW_SAMPLES = 512
_SHORTEST_HOPS = 12
# Edges of the bands in Hz: most of a voice, and what small loudspeakers can play.
_BAND_EDGES_HZ = (200, 350, 500, 700, 900, 1150, 1450, 1800, 2250, 2800, 3500, 4400)
# From these on, spectra (correlation) and texts (share of words) count as the same.
_SAME_SPECTRUM = 0.57
_SAME_WORDS = 0.6


def is_echo(heard: Int16Array, played: FloatArray) -> bool:
    """Whether the spectrum of `heard` changes like that of `played`.

    `heard`: int16 microphone samples (n,) at 16 kHz, 300 ms or more. `played`: float32 samples
    (m,) of what the page was playing around that time, beginning up to a second earlier: the
    delay of loudspeaker, room and network is searched for. False when `played` is shorter than
    `heard` or silent.
    """
    return likeness(heard, played) >= _SAME_SPECTRUM


def likeness(heard: Int16Array, played: FloatArray) -> float:
    """The best correlation, -1 to 1, of the two changing spectra over all delays (see
    `is_echo`); 0 when there is nothing to compare. What the room does to the sound of a band is
    the same all the time, and any two voices rise and fall a little alike: each band is compared
    without its mean over time, each moment without its mean over the bands."""
    heard_bands = _bands(heard.astype(np.float32) / 32768.0)
    played_bands = _bands(played)
    width = len(heard_bands)
    if width < _SHORTEST_HOPS or len(played_bands) < width or not played.any():
        return 0.0
    pattern = heard_bands - heard_bands.mean(axis=0)
    # (delays, bands, width)
    windows = np.lib.stride_tricks.sliding_window_view(played_bands, width, axis=0)
    windows = windows - windows.mean(axis=2, keepdims=True)
    size = np.linalg.norm(windows, axis=(1, 2)) * np.linalg.norm(pattern) + 1e-9
    return float((np.einsum("dbw,wb->d", windows, pattern) / size).max())


def echoes_words(transcript: str, spoken: str) -> bool:
    """Whether most words of `transcript` stand, in this order, in what the presenter has just
    been saying. Words are compared without case, signs and, in Korean, spaces."""
    heard, said = _units(transcript), _units(spoken)
    if not heard:
        return True
    return _common(heard, said) / len(heard) >= _SAME_WORDS


def barges_in(heard: Int16Array, played: FloatArray, *, shortest_ms: int = 300) -> bool:
    """Whether `heard`, the speech detected so far, interrupts: it lasts `shortest_ms` or longer
    and is no echo of `played` (see `is_echo`; empty when nothing is playing)."""
    if len(heard) * 1000 < shortest_ms * SAMPLE_RATE_HZ:
        return False
    return not is_echo(heard, played)


def _bands(samples: FloatArray) -> npt.NDArray[np.float64]:
    """Decibels (hops, bands) in steps of 20 ms, not below 50 dB under the loudest."""
    if len(samples) < _WINDOW_SAMPLES:
        return np.zeros((0, len(_BAND_EDGES_HZ) - 1))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW_SAMPLES), axis=1)) ** 2
    edges = [edge * _WINDOW_SAMPLES // SAMPLE_RATE_HZ for edge in _BAND_EDGES_HZ]
    bands = np.add.reduceat(power, edges, axis=1)[:, :-1]
    decibels: npt.NDArray[np.float64] = 10.0 * np.log10(
        np.maximum(bands, max(float(bands.max()) * 1e-5, 1e-6))
    )
    decibels -= decibels.mean(axis=1, keepdims=True)
    return decibels


def _units(text: str) -> list[str]:
    """Latin words, and Hangul syllable by syllable: recognisers space Korean as they like."""
    return re.findall(r"[a-z0-9']+|[가-힣]", text.lower())


def _common(heard: list[str], said: list[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(said) + 1)
    for unit in heard:
        previous = 0
        for index, other in enumerate(said, start=1):
            above = row[index]
            row[index] = previous + 1 if unit == other else max(above, row[index - 1])
            previous = above
    return row[-1]
