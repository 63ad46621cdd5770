"""How many viewers a device holds, and what gives way when it is late.

Pure: the engine tells what it measured, with its own clock's time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ditto_avatar.types import FRAME_RATE_HZ

USABLE_SHARE = 0.85  # of the device's time; the rest absorbs uneven arrival
WINDOW_S = 2.0
LATE_SHARE = 0.05
CALM_S = 10.0
CALM_MARGIN_S = 0.1
FEWEST_STEPS = 4


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the device needs, in seconds: for one frame and for one clip, in full batches."""

    frame_s: float
    clip_s: float

    def of_viewer(self, frames_per_clip: int) -> float:
        """The share of the device that one performance needs."""
        clips_per_s = FRAME_RATE_HZ / frames_per_clip
        return FRAME_RATE_HZ * self.frame_s + clips_per_s * self.clip_s

    def streams(self, frames_per_clip: int) -> int:
        """Performances at 25 frames a second that fit, at least one."""
        needed = self.of_viewer(frames_per_clip)
        return max(1, int(USABLE_SHARE / needed)) if needed > 0 else 1


@dataclass(frozen=True, slots=True)
class Quality:
    """One level: diffusion steps of a clip, and frames that clips of new streams share."""

    steps: int
    overlap: int


def levels(steps: int, overlap: int) -> tuple[Quality, ...]:
    """From full quality down: first fewer steps, then, for new streams, less overlap."""
    fewer = max(min(steps, FEWEST_STEPS), steps // 2)
    fewest = min(steps, FEWEST_STEPS)
    shorter = max(40, overlap - 10)
    found = [
        Quality(steps, overlap),
        Quality(fewer, overlap),
        Quality(fewest, overlap),
        Quality(fewest, shorter),
    ]
    return tuple(dict.fromkeys(found))


@dataclass(slots=True)
class LoadController:
    """Watches how late frames are and chooses the level.

    It goes down one level when more than 5 % of the frames of two seconds were late, and up one
    when for ten seconds none was and all had a tenth of a second to spare."""

    levels: tuple[Quality, ...]
    level: int = 0
    _recent: deque[tuple[float, bool]] = field(default_factory=deque)
    _late: int = 0
    _changed: float = float("-inf")
    _strained: float = float("-inf")

    @property
    def quality(self) -> Quality:
        return self.levels[self.level]

    def observe(self, now: float, lateness: float) -> Quality:
        """A frame was ready `lateness` seconds after it was due; negative is early."""
        self._recent.append((now, lateness > 0))
        self._late += lateness > 0
        while self._recent[0][0] < now - WINDOW_S:
            self._late -= self._recent.popleft()[1]
        if lateness > -CALM_MARGIN_S:
            self._strained = now
        late = self._late / len(self._recent)
        # A change needs a window of its own before it is judged.
        settled = now - self._changed >= WINDOW_S
        if settled and late > LATE_SHARE and self.level + 1 < len(self.levels):
            self._change(now, self.level + 1)
        elif self.level > 0 and now - max(self._strained, self._changed) >= CALM_S:
            self._change(now, self.level - 1)
        return self.quality

    def calm(self, now: float) -> bool:
        """Whether all frames of the last ten seconds had time to spare, at full quality."""
        return self.level == 0 and now - max(self._strained, self._changed) >= CALM_S

    def reset(self) -> None:
        """Begin anew with full quality."""
        self._change(float("-inf"), 0)

    def _change(self, now: float, level: int) -> None:
        self.level, self._changed = level, now
        self._recent.clear()
        self._late = 0
