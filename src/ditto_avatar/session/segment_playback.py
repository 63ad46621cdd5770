"""Follow the segments of a turn: what was drawn, and how far it was played."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ditto_avatar.types import FRAME_RATE_HZ, Emotion

# How fast people hear words of a sentence whose length is not known yet.
_WORDS_PER_S = 2.5


@dataclass(slots=True)
class SegmentPlayback:
    """Follow one segment. `seconds` is its length once it was drawn, `played` how much of it was
    heard; `ended` says that it was heard to the end, `dropped` that a page stopped it where it was
    and has not begun it again."""

    index: int
    text: str
    emotion: Emotion
    first_frame: int
    began: float
    seconds: float = 0.0
    last_frame: int | None = None
    played: float = 0.0
    ended: bool = False
    dropped: bool = False

    @property
    def left_s(self) -> float:
        """Seconds that were drawn and not reported as heard."""
        return 0.0 if self.ended else max(0.0, self.seconds - self.played)

    def idle_frame(self, seconds: float, *, ended: bool) -> float:
        """Return where the idle loop is when `seconds` of the segment have played. The loop goes on
        underneath; the number may lie beyond its end."""
        if ended and self.last_frame is not None:
            return self.last_frame + 1
        return self.first_frame + seconds * FRAME_RATE_HZ

    def heard_words(self) -> str:
        """Return the words that were heard: all once it ended, else as many as the share of
        time."""
        if self.ended:
            return self.text
        words = self.text.split()
        if self.seconds <= 0.0:
            return " ".join(words[: int(self.played * _WORDS_PER_S)])
        return " ".join(words[: int(len(words) * min(1.0, self.played / self.seconds))])


def words_heard(now: float, spoken: Iterable[SegmentPlayback]) -> str:
    """Return the words of `spoken` that were heard at time `now`. Without any report from a page,
    the share of time is counted from when the first segment began."""
    segments = sorted(spoken, key=lambda segment: segment.index)
    if segments and not any(s.played or s.ended or s.dropped for s in segments):
        elapsed = now - segments[0].began
        for segment in segments:
            segment.played = min(segment.seconds, max(0.0, elapsed))
            elapsed -= segment.seconds
    return " ".join(filter(None, (segment.heard_words() for segment in segments)))
