"""How neighbouring sounds share the mouth.

Dominance functions after Cohen and Massaro (1993): every sound asks for its targets with a weight
that falls off before and after it; the mouth is where the weighted wishes balance. Lips that must
close (P, B, M, F, V) do not negotiate: they close, however short the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from ditto_avatar.face.puppet.visemes import CHANNELS, PAUSE, VISEMES, Channel, Viseme, parts
from ditto_avatar.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, FloatArray, Phoneme

_MS = SAMPLE_RATE_HZ // 1000

# How far before and after a sound its wish is felt, in ms, by channel: JAW, CLOSE, BITE, ROUND,
# FUNNEL, WIDE, TONGUE, LIFT. Rounding is early and stays, the tongue is quick.
_BEFORE = np.array([55, 14, 16, 95, 75, 60, 30, 60], np.float32) * _MS
_AFTER = np.array([50, 14, 16, 60, 60, 60, 30, 60], np.float32) * _MS
_HARD: Final = np.array([Channel.CLOSE, Channel.BITE, Channel.TONGUE])

# A stop this long holds its own closure; a shorter one, after a pause, closes before it sounds.
_CLOSURE = 60 * _MS
# A gap shorter than this between sounds is no pause.
_SHORTEST_PAUSE = 45 * _MS
# The mouth starts to close this long after the last sound and opens before the next.
_PAUSE_BEGINS = 25 * _MS
_PAUSE_ENDS = 70 * _MS
# Beyond this a sound is not felt any more; older ones are forgotten.
REACH: Final = 400 * _MS


@dataclass(frozen=True, slots=True)
class Gesture:
    """One target of the mouth, held from sample `start` to `end` of the stream."""

    start: int
    end: int
    viseme: Viseme


def gestures(phoneme: Phoneme) -> list[Gesture]:
    """The gestures of a phoneme: two for a diphthong. Times as in the phoneme."""
    symbols = parts(phoneme.symbol)
    if not symbols:
        return []
    # The first part of a diphthong lasts longer than the glide that ends it. Plain numbers: this
    # runs for every phoneme that is pushed, in the event loop.
    shares = list(accumulate([1.5] + [1.0] * (len(symbols) - 1)))
    duration = phoneme.end - phoneme.start
    edges = [phoneme.start + share / shares[-1] * duration for share in (0.0, *shares)]
    made = []
    for symbol, (start, end) in zip(symbols, pairwise(edges), strict=True):
        viseme = VISEMES[symbol]
        begin, length = int(start), int(end - start)
        if viseme.stop:
            early = max(0, _CLOSURE - length)
            made.append(Gesture(begin - early, begin + length // 2, viseme))
        elif viseme.held:
            made.append(Gesture(begin + length // 6, begin + length * 2 // 3, viseme))
        else:
            made.append(Gesture(begin + length // 4, begin + length * 3 // 4, viseme))
    return made


def pauses(phonemes: Sequence[Phoneme], begin: int, horizon: int) -> list[Gesture]:
    """The silences around and between `phonemes` (in order) from sample `begin` to `horizon`."""
    made = []
    last = begin
    for start, end in [(p.start, p.end) for p in phonemes] + [(horizon + _PAUSE_ENDS, 0)]:
        if start - last >= _SHORTEST_PAUSE:
            first = last + (_PAUSE_BEGINS if last > begin else 0)
            made.append(Gesture(first, max(first, start - _PAUSE_ENDS), PAUSE))
        last = max(last, end)
    return made


def blend(frame: int, asked: Sequence[Gesture]) -> FloatArray:
    """The channels (8,) at frame `frame` of the stream, each from 0 to 1."""
    if not asked:
        return np.zeros(CHANNELS, np.float32)
    centre = frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
    starts = np.array([g.start for g in asked], np.float32)
    ends = np.array([g.end for g in asked], np.float32)
    targets = np.stack([g.viseme.targets for g in asked])
    strengths = np.stack([g.viseme.strengths for g in asked])
    ahead = np.maximum(starts - centre, 0)[:, None]
    behind = np.maximum(centre - ends, 0)[:, None]
    dominance = strengths * np.exp(-ahead / _BEFORE - behind / _AFTER)
    channels = (dominance * targets).sum(0) / (dominance.sum(0) + np.float32(1e-4))
    # A frame lasts 40 ms: a closure that lies anywhere in it is shown by it.
    half = np.float32(SAMPLES_PER_FRAME / 2)
    away = np.maximum(ahead + behind - half, 0)
    nearness = np.exp(-((away / _BEFORE) ** 2))
    hard = (nearness * targets)[:, _HARD].max(0)
    channels[_HARD] = hard
    result: FloatArray = channels.astype(np.float32)
    return result
