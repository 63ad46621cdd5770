"""Follow what a page plays: the presenter's sound, placed in time by the page's reports.

The microphone compares itself with it, to tell an echo from a person. Until a page has reported on
a segment, the segment counts as playing from when it began to be drawn, after those before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ditto_avatar.clock import Clock
from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.types import SAMPLE_RATE_HZ, FloatArray

# Longer ago than any echo of it can still be heard and understood.
_FORGET_S = 15.0


@dataclass(slots=True)
class _Sentence:
    segment: str
    text: str
    sound: SegmentSound
    began: float
    # Once a page has reported, moving `began` is up to the page.
    reported: bool = False
    stopped: float = math.inf

    @property
    def ends(self) -> float:
        return min(self.stopped, self.began + len(self.sound.samples) / SAMPLE_RATE_HZ)


class Loudspeaker:
    """Place the sentences that play, or have just played, in time. Belongs to the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sentences: list[_Sentence] = []

    def begin(self, segment: str, text: str, sound: SegmentSound) -> None:
        """Expect the sentence of `segment` to play after those before it; its `sound` may still
        grow. `sound` grows meanwhile."""
        now = self._clock.now()
        self._sentences = [s for s in self._sentences if s.ends > now - _FORGET_S]
        began = max([now, *(s.ends for s in self._sentences)])
        self._sentences.append(_Sentence(segment, text, sound, began))

    def report(self, segment: str, seconds: float, *, ended: bool) -> None:
        """Note that the page has just played the first `seconds` of a segment; `ended` when it
        plays no more of it."""
        now = self._clock.now()
        for place, sentence in enumerate(self._sentences):
            if sentence.segment == segment:
                sentence.began, sentence.reported = now - seconds, True
                if ended:
                    sentence.stopped = now
                self._push_back(place)

    def stop(self) -> None:
        """Note that the page drops everything it has not played."""
        now = self._clock.now()
        for sentence in self._sentences:
            sentence.stopped = min(sentence.stopped, max(now, sentence.began))
        self._sentences = [s for s in self._sentences if s.began < now]

    def played(self, seconds: float) -> FloatArray:
        """Return the samples of the last `seconds`, float32 (n,), silent where nothing played;
        empty when nothing played at all."""
        now = self._clock.now()
        samples = np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
        since = now - seconds
        anything = False
        for sentence in self._playing(since, now):
            sound = sentence.sound.samples
            first = round((since - sentence.began) * SAMPLE_RATE_HZ)
            until = round((min(sentence.ends, now) - sentence.began) * SAMPLE_RATE_HZ)
            part = sound[max(0, first) : min(until, len(sound))]
            at = max(0, -first)
            part = part[: len(samples) - at]
            samples[at : at + len(part)] += part
            anything = anything or len(part) > 0
        return samples if anything else np.zeros(0, np.float32)

    def spoken(self, seconds: float) -> str:
        """Return the sentences of which anything played in the last `seconds`."""
        now = self._clock.now()
        return " ".join(s.text for s in self._playing(now - seconds, now))

    def _playing(self, since: float, now: float) -> list[_Sentence]:
        return [s for s in self._sentences if s.began < now and s.ends > since]

    def _push_back(self, place: int) -> None:
        """Sentences without a report of their own follow the one before them."""
        for before, sentence in zip(
            self._sentences[place:], self._sentences[place + 1 :], strict=False
        ):
            if sentence.reported:
                break
            sentence.began = before.ends
