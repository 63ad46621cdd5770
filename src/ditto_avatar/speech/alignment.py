"""When the phonemes of a sentence sound in somebody else's voice.

espeak-ng knows its own phonemes and their times; the same sentence from another voice has the same
phonemes at other times. Dynamic time warping (Sakoe and Chiba, 1978) over cepstra finds which
moment of the reference each moment of the foreign sound corresponds to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ditto_avatar.spectrum import BANDS, HOP, WINDOW, log_mel
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Phoneme, SpeechChunk

_CEPSTRA: Final = 13
# How the loudness counts beside the shape of the spectrum.
_LOUDNESS_WEIGHT: Final = 6.0
_SLOPE_WEIGHT: Final = 1.0
# Steps through the reference per hop of the foreign sound, and what each costs: staying and
# hurrying are possible, going along is free.
_STEP_COSTS: Final = (0.6, 0.0, 0.4, 1.0)
# Staying is cheap while nobody speaks: pauses are as long as they like.
_PAUSE_STAY: Final = 0.05
# Loudness feature below which nobody speaks.
_QUIET: Final = 0.2
# The foreign sound must run this far ahead before a moment of it is decided.
_DECIDE_AFTER: Final = 24
_PEAK_SINKS: Final = 0.002
# Hops of loud speech that the colour to start from is worth.
_COLOUR_WEIGHT: Final = 40.0
_CENTRE: Final = WINDOW // 2
# Sound that is looked at without a pause: less than a millisecond of work.
_STEP_SAMPLES: Final = SAMPLE_RATE_HZ // 10


class Aligner:
    """Times of the reference's phonemes in a foreign sound, while that sound arrives."""

    def __init__(self, reference: SpeechChunk) -> None:
        """`reference` is the whole sentence with its phonemes, times from its start. Blocking for
        about a thousandth of its duration."""
        self._phonemes = reference.phonemes
        bands = log_mel(_padded(reference.samples))
        first = _Ears()
        first.features(bands)
        # Both voices start from the reference's colour: a mean over a few hops says nothing.
        self._ears = _Ears(first.colour)
        self._reference = _Ears(first.colour).features(bands)
        self._square = (self._reference**2).sum(1)
        count = len(self._reference)
        self._pause_stay = np.where(self._reference[:, 0] < _QUIET, _PAUSE_STAY, _STEP_COSTS[0])
        self._total = np.full(count, np.inf)
        self._candidates = np.full((len(_STEP_COSTS), count), np.inf)
        self._steps: list[npt.NDArray[np.int8]] = []
        self._decided: list[int] = []
        self._sound = np.zeros(_CENTRE, np.float32)
        self._samples = 0
        self._given = 0

    def push(self, samples: FloatArray) -> tuple[Phoneme, ...]:
        """Hear samples (n,) more; the phonemes whose times are certain now, each once and in
        order, in samples from the start of the foreign sound. Blocking for about a hundredth of
        their duration."""
        self._samples += len(samples)
        self._hear(np.concatenate([self._sound, samples]))
        return self._phonemes_until(len(self._steps) - _DECIDE_AFTER)

    def finish(self) -> tuple[Phoneme, ...]:
        """The phonemes that are left; the sound has ended."""
        self._hear(np.concatenate([self._sound, np.zeros(WINDOW, np.float32)]))
        if self._steps:
            # The sentence was said to its end.
            tail = max(0, len(self._total) - 8)
            last = tail + int(np.argmin(self._total[tail:]))
            self._decide(len(self._steps), last)
        return self._phonemes_until(len(self._steps), ended=True)

    def _hear(self, sound: FloatArray) -> None:
        rows = self._ears.features(log_mel(sound))
        self._sound = sound[len(rows) * HOP :].copy()
        square = self._square - 2 * (rows @ self._reference.T) + (rows**2).sum(1)[:, None]
        distances = np.sqrt(np.maximum(square, 0))
        for distance, loudness in zip(distances, rows[:, 0], strict=True):
            self._advance(distance, quiet=bool(loudness < _QUIET))

    def _advance(self, distance: npt.NDArray[np.float64], *, quiet: bool) -> None:
        total = self._total
        if not self._steps:
            # The reference may begin with a silence that the foreign sound lacks.
            begin = np.where(np.arange(len(total)) < 12, 0.0, np.inf)
            self._total, step = begin + distance, np.zeros(len(total), np.int8)
        else:
            # The first columns of the rows that move on stay infinite.
            candidates = self._candidates
            np.add(total, self._pause_stay if quiet else _STEP_COSTS[0], out=candidates[0])
            for move in range(1, len(_STEP_COSTS)):
                np.add(total[:-move], _STEP_COSTS[move], out=candidates[move, move:])
            step = candidates.argmin(0).astype(np.int8)
            self._total = candidates.min(0) + distance
        self._steps.append(step)

    def _phonemes_until(self, hop: int, *, ended: bool = False) -> tuple[Phoneme, ...]:
        if hop > len(self._decided):
            self._decide(hop, int(np.argmin(self._total)))
        if not self._decided:
            return ()
        path = np.array(self._decided) * HOP
        made: list[Phoneme] = []
        while self._given < len(self._phonemes):
            phoneme = self._phonemes[self._given]
            if not ended and path[-1] <= phoneme.end:
                break
            start, end = _when(path, phoneme.start), _when(path, phoneme.end)
            end = min(max(end, start + HOP), self._samples)
            if start < end:
                made.append(Phoneme(phoneme.symbol, start, end, phoneme.stressed))
            self._given += 1
        return tuple(made)

    def _decide(self, hop: int, last: int) -> None:
        """Follow the best path back from `last` and keep it up to `hop`, never going back."""
        place, path = last, [last]
        for step in reversed(self._steps[len(self._decided) + 1 :]):
            place -= int(step[place])
            path.append(place)
        path.reverse()
        floor = self._decided[-1] if self._decided else 0
        for place in path[: hop - len(self._decided)]:
            floor = max(floor, place)
            self._decided.append(floor)


def align(reference: SpeechChunk, samples: FloatArray) -> tuple[Phoneme, ...]:
    """The reference's phonemes at their times in `samples` (n,), the same sentence in another
    voice."""
    if not reference.phonemes or not len(samples):
        return ()
    aligner = Aligner(reference)
    return aligner.push(samples) + aligner.finish()


async def aligned(
    chunks: AsyncIterator[SpeechChunk], aligner: Aligner
) -> AsyncGenerator[SpeechChunk, None]:
    """Give `chunks` with the phonemes that `aligner` finds, each chunk as soon as it is certain
    what sounds in it: about a quarter of a second after it came. Others have their turn after
    every tenth of a second of sound. Cancelling is safe."""
    waiting = np.zeros(0, np.float32)
    gone = 0
    found: list[Phoneme] = []

    def cut(end: int) -> SpeechChunk:
        nonlocal waiting, gone, found
        inside = [p for p in found if p.start < end]
        found = [p for p in found if p.start >= end]
        phonemes = tuple(
            Phoneme(p.symbol, max(0, p.start - gone), p.end - gone, p.stressed) for p in inside
        )
        chunk = SpeechChunk(waiting[: end - gone], phonemes)
        waiting, gone = waiting[end - gone :], end
        return chunk

    async for chunk in chunks:
        waiting = np.concatenate([waiting, chunk.samples])
        for start in range(0, len(chunk.samples), _STEP_SAMPLES):
            found.extend(aligner.push(chunk.samples[start : start + _STEP_SAMPLES]))
            await asyncio.sleep(0)
        # What follows the last certain phoneme may still be the beginning of the next one.
        certain = found[-1].end if found else gone
        if certain > gone:
            yield cut(certain)
    found.extend(aligner.finish())
    if len(waiting):
        yield cut(gone + len(waiting))


class _Ears:
    """Features of sound, hop by hop: loudness relative to the loudest so far, cepstra without
    the channel's colour, and their slope."""

    def __init__(self, colour: npt.NDArray[np.float64] | None = None) -> None:
        self._peak = -4.0
        self.colour = np.zeros(_CEPSTRA) if colour is None else colour
        self._weight = 0.0 if colour is None else _COLOUR_WEIGHT
        self._last = np.zeros(_CEPSTRA)

    def features(self, bands: FloatArray) -> npt.NDArray[np.float64]:
        """Rows (hops, 1 + 2 * 13) for `bands` (hops, 26), which follow the last ones."""
        count = len(bands)
        if not count:
            return np.zeros((0, 1 + 2 * _CEPSTRA))
        levels = np.log(np.exp(bands).sum(1) + 1e-3)
        # The loudest so far sinks a little with every hop.
        sunk = _PEAK_SINKS * np.arange(1, count + 1)
        peaks = np.maximum(self._peak, np.maximum.accumulate(levels + sunk)) - sunk
        loud = np.clip(1 + (levels - peaks) / 7, 0, 1)[:, None]
        cepstra = np.maximum(bands, (peaks - 9)[:, None]) @ _cosines()
        # The voice's and the line's own colour is the mean over what is loud.
        weights = self._weight + np.cumsum(loud, 0)
        sums = self.colour * self._weight + np.cumsum(cepstra * loud, 0)
        colours = sums / np.maximum(weights, 1.0)
        shapes = (cepstra - colours) * loud
        slopes = np.diff(shapes, axis=0, prepend=self._last[None])
        self._peak, self._weight = float(peaks[-1]), float(weights[-1, 0])
        self.colour, self._last = colours[-1], shapes[-1]
        return np.concatenate([_LOUDNESS_WEIGHT * loud, shapes, slopes * _SLOPE_WEIGHT], 1)


@cache
def _cosines() -> FloatArray:
    """The cosine transform (26, 13) from bands to cepstra, without the level, scaled so that
    each cepstrum varies about as much as the others."""
    order = np.arange(1, _CEPSTRA + 1)
    angle = np.pi * (np.arange(BANDS)[:, None] + 0.5) * order / BANDS
    lifter = 1 + 5 * np.sin(np.pi * order / 22)
    result: FloatArray = (np.cos(angle) * np.sqrt(2 / BANDS) * lifter / 8).astype(np.float32)
    return result


def _padded(samples: FloatArray) -> FloatArray:
    # Row k is centred on sample 160 k.
    return np.concatenate([np.zeros(_CENTRE, np.float32), samples, np.zeros(WINDOW, np.float32)])


def _when(path: npt.NDArray[np.int64], sample: int) -> int:
    """The first moment of the foreign sound that lies at or after `sample` of the reference."""
    after = int(np.searchsorted(path, sample))
    if after == 0:
        return 0
    if after >= len(path):
        return len(path) * HOP
    before = path[after - 1]
    share = (sample - before) / max(path[after] - before, 1)
    return int((after - 1 + share) * HOP)
