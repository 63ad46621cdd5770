"""What a network gave, made fit for a face: trimmed, levelled, with marks for its phonemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ditto_avatar.speech.phoneme_stream import PhonemeMark
from ditto_avatar.types import FloatArray

# The level at which espeak-ng and the services speak, of what is loud: -21 dBFS, before the
# headroom of `PhonemeStream`.
_LEVEL = 0.099
_LOUDEST = 0.97
_MOST_GAIN = 6.0
# Sound this far below the loudest moment is silence (40 dB).
_SILENCE = 0.01
_WINDOW_S = 0.01
_LEAD_S = 0.03
_RAMP_S = 0.005
_MOST_S = 60.0
_REMEMBERED_S = 30.0
# Pauses behind the signs; without one the next words follow at once.
_PAUSES_S = {"": 0.03, ",": 0.16, ";": 0.22, ":": 0.22, "—": 0.22}
_LONG_PAUSE_S = 0.3
# A phoneme that begins later than this after the one before begins after a pause.
_PAUSE_S = 0.04


@dataclass(frozen=True, slots=True)
class Span:
    """A phoneme and its times in the network's sound, in seconds."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Take:
    """Sound that a network made: float32 samples (n,), its phonemes where the network knows them,
    the sign behind its last words, and the processor time that it took.

    A network that makes a take in pieces gives one for each: `begins` and `ends` tell the first and
    the last one, `next_s` when the phoneme begins that follows in the next piece, in seconds of
    this one."""

    samples: FloatArray
    spans: tuple[Span, ...]
    sign: str
    cpu_s: float
    begins: bool = True
    ends: bool = True
    next_s: float | None = None


class Loudness:
    """How loud a voice is of itself, over all that it has said: a single word tells little."""

    def __init__(self) -> None:
        self._power = 0.0
        self._windows = 0

    def add(self, sound: FloatArray, rate_hz: int) -> None:
        """Take `sound` (n,), as the network gave it, into account."""
        power, windows = _loudness(sound, rate_hz)
        # New sound counts for as much as half a minute of the old one at most.
        self._windows = min(self._windows, round(_REMEMBERED_S / _WINDOW_S)) + windows
        if self._windows:
            self._power += (power - self._power) * windows / self._windows

    @property
    def gain(self) -> float:
        """What brings the voice to the level of the others."""
        if not self._windows:
            return 1.0
        return float(min(_MOST_GAIN, _LEVEL / max(np.sqrt(self._power), 1e-6)))


class Finish:
    """Trims and levels the takes of one sentence: all alike, as `loudness` says when the first one
    has been added to it."""

    def __init__(self, rate_hz: int, loudness: Loudness | None = None) -> None:
        self._rate_hz = rate_hz
        self._loudness = loudness or Loudness()
        self._gain: float | None = None
        self._last_gain = 0.0
        self._peak = 0.0

    def finish(self, take: Take) -> tuple[FloatArray, list[PhonemeMark]]:
        """Return the samples (m,) at the network's rate, and marks counted from their start."""
        begin, end = self._bounds(take)
        sound = take.samples[begin:end]
        loudest = float(np.abs(sound).max(initial=0.0))
        self._loudness.add(sound, self._rate_hz)
        if self._gain is None:
            self._gain = self._loudness.gain
        gain = min(self._gain, _LOUDEST / max(loudest, 1e-6))
        gains = np.full(len(sound), gain, np.float32)
        if not take.begins and gain != self._last_gain:
            # No step where one piece of a take meets the next.
            ramp = min(len(sound), int(self._rate_hz * _RAMP_S))
            gains[:ramp] = np.linspace(self._last_gain, gain, ramp, dtype=np.float32)
        self._last_gain = gain
        # What follows in the next piece may end there.
        end = len(sound) if take.ends else round(len(sound) + _MOST_S * self._rate_hz)
        return (sound * gains).astype(np.float32), self._marks(take, begin, end)

    def _bounds(self, take: Take) -> tuple[int, int]:
        """Where to cut: silence is as long as the sign behind the words asks."""
        window = int(self._rate_hz * _WINDOW_S)
        peak = _peak(take.samples)
        self._peak = peak if take.begins else max(self._peak, peak)
        loud = np.flatnonzero(_envelope(take.samples, window) > _SILENCE * self._peak)
        begin, end = 0, len(take.samples)
        if take.begins and len(loud):
            begin = int(loud[0] * window - _LEAD_S * self._rate_hz)
        if take.ends:
            pause_s = _PAUSES_S.get(take.sign, _LONG_PAUSE_S)
            last = loud[-1] + 1 if len(loud) else 0
            end = int(last * window + pause_s * self._rate_hz)
        if take.begins and not len(loud):
            end = 0
        return max(0, begin), min(end, len(take.samples))

    def _marks(self, take: Take, begin: int, length: int) -> list[PhonemeMark]:
        marks: list[PhonemeMark] = []
        for index, span in enumerate(take.spans):
            start = self._sample(span.start_s, begin, length)
            end = self._sample(span.end_s, begin, length)
            marks.append(PhonemeMark(span.symbol, start))
            following_s = take.next_s
            if index + 1 < len(take.spans):
                following_s = take.spans[index + 1].start_s
            if following_s is None or following_s - span.end_s > _PAUSE_S:
                marks.append(PhonemeMark("", max(start, end)))
        return marks

    def _sample(self, at_s: float, begin: int, length: int) -> int:
        return min(max(0, round(at_s * self._rate_hz) - begin), length)


def spans(
    symbols: Sequence[str],
    first: Sequence[int],
    last: Sequence[int],
    durations: npt.NDArray[np.float64],
    *,
    samples: int,
    rate_hz: int,
    padded: bool,
    shift_s: float,
) -> tuple[Span, ...]:
    """Work out when phonemes sound, from the durations (ids,) of a network in its own frames.

    Phoneme k has the ids `first[k]` to `last[k]`; where the network is `padded`, an empty id stands
    between any two and half of each belongs to its neighbour. `shift_s` is what a network's
    durations are off by: its family's constant. Empty when the durations are not those of
    `samples` samples."""
    total = float(durations.sum())
    if total <= 0 or not samples:
        return ()
    frame = samples / total
    # A frame is a whole number of samples; rounding the end of the sound may cost one frame.
    if abs(round(frame) * total - samples) > round(frame):
        return ()
    times = np.concatenate([[0.0], np.cumsum(durations)]) * round(frame) / rate_hz
    made = []
    for symbol, a, b in zip(symbols, first, last, strict=True):
        start, end = times[a], times[b + 1]
        if padded:
            start = (times[a - 1] + times[a]) / 2
            end = (times[b + 1] + times[min(b + 2, len(times) - 1)]) / 2
        made.append(Span(symbol, max(0.0, start + shift_s), max(0.0, end + shift_s)))
    return tuple(made)


def _loudness(sound: FloatArray, rate_hz: int) -> tuple[float, int]:
    """How loud the loud parts of `sound` are: the mean of their squares, and how many there are."""
    levels = _envelope(sound, int(rate_hz * _WINDOW_S))
    loud = levels[levels > 0.1 * levels.max(initial=0.0)]
    return (float((loud**2).mean()), len(loud)) if len(loud) else (0.0, 0)


def _envelope(sound: FloatArray, window: int) -> npt.NDArray[np.float64]:
    """Root mean squares of whole windows."""
    count = len(sound) // window
    squares = sound[: count * window].astype(np.float64).reshape(count, window) ** 2
    return np.asarray(np.sqrt(squares.mean(1)))


def _peak(sound: FloatArray) -> float:
    return float(np.abs(sound).max(initial=0.0))
