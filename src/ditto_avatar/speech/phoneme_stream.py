"""Sound and phoneme marks in, 16 kHz chunks that never cut a phoneme out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ditto_avatar.speech.resample import StreamResampler
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray, Phoneme, SpeechChunk

_CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10
# Headroom: resampling may overshoot a full-scale sample by a few percent.
_GAIN = 0.9
# espeak marks a voiceless stop where it bursts; the lips have been closed for some 45 ms then,
# which it counts to the sound before.
_VOICELESS_STOPS = ("p", "t", "k")
_CLOSURE_SAMPLES = SAMPLE_RATE_HZ * 45 // 1000


@dataclass(frozen=True, slots=True)
class PhonemeMark:
    """A phoneme begins at `sample` of the source; an empty symbol begins a pause."""

    symbol: str
    sample: int


class PhonemeStream:
    """Resamples the source and cuts it at phoneme boundaries, about every 100 ms. `late_closures`
    says that the source marks voiceless stops where they burst, as espeak-ng does."""

    def __init__(self, source_hz: int, *, late_closures: bool = True) -> None:
        self._late_closures = late_closures
        self._source_hz = source_hz
        self._resampler = StreamResampler(source_hz)
        self._sound = np.zeros(0, np.float32)
        self._sound_start = 0
        self._done: list[Phoneme] = []
        self._open: tuple[str, bool, int] | None = None
        self._safe = 0

    def push(self, sound: FloatArray, marks: Sequence[PhonemeMark]) -> list[SpeechChunk]:
        """The chunks that are complete after `sound` (n,) at the source rate; the marks'
        samples count from the start of the source and never go back."""
        for mark in marks:
            self._mark(mark.symbol, round(mark.sample * SAMPLE_RATE_HZ / self._source_hz))
        self._sound = np.concatenate([self._sound, self._resampler.push(sound)])
        return self._cut(_CHUNK_SAMPLES)

    def finish(self) -> list[SpeechChunk]:
        """What is left, the last phoneme ending with the sound."""
        self._sound = np.concatenate([self._sound, self._resampler.finish()])
        end = self._sound_start + len(self._sound)
        self._mark("", end)
        self._safe = end
        return self._cut(1)

    def _mark(self, symbol: str, at: int) -> None:
        bare, bare_stressed = _plain(symbol)
        if self._open is not None:
            name, stressed, start = self._open
            if self._late_closures and bare[:1] in _VOICELESS_STOPS:
                at -= min(_CLOSURE_SAMPLES, int(0.4 * (at - start)))
            if at > start:
                self._done.append(Phoneme(name, start, at, stressed))
            self._open = None
        self._safe = max(self._safe, at)
        if bare:
            self._open = (bare, bare_stressed, at)

    def _cut(self, at_least: int) -> list[SpeechChunk]:
        available = self._sound_start + len(self._sound)
        end = self._safe if self._safe <= available else self._last_boundary(available)
        if end - self._sound_start < at_least:
            return []
        start = self._sound_start
        count = end - start
        sound, self._sound = self._sound[:count], self._sound[count:]
        self._sound_start = end
        inside = [p for p in self._done if p.start < end]
        self._done = [p for p in self._done if p.start >= end]
        # The resampler's length may differ from the marks' by a sample.
        phonemes = tuple(
            Phoneme(p.symbol, p.start - start, min(p.end, end) - start, p.stressed)
            for p in inside
            if p.start < min(p.end, end)
        )
        return [SpeechChunk(np.clip(sound * _GAIN, -1.0, 1.0), phonemes)]

    def _last_boundary(self, available: int) -> int:
        return max((p.end for p in self._done if p.end <= available), default=self._sound_start)


def _plain(symbol: str) -> tuple[str, bool]:
    """The IPA symbol without espeak's own signs, and whether it carries the main stress.

    espeak writes a change of language as ``(en)``, a tense or unreleased consonant with a
    hyphen, and the Korean unreleased k as ``q``.
    """
    if symbol.startswith("("):
        return "", False
    stressed = symbol.startswith("ˈ")
    bare = symbol.lstrip("ˈˌ").replace("-", "").replace("_", "").strip()
    return ("k" if bare == "q" else bare), stressed
