"""When a viewer wants to see the frames of a stream.

Pure. Nobody can be late with work that could not begin: sound that was not heard yet, or a reader
whose buffer is full, moves the deadlines of all that follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ditto_avatar.types import FRAME_RATE_HZ

LEAD_S = 0.2  # from the moment work becomes possible to its first picture


@dataclass(slots=True)
class Deadlines:
    """Frames are wanted at 25 a second, the first one at `begun` (seconds of the engine's
    clock)."""

    begun: float = float("-inf")

    def possible(self, now: float, frame: int, unread: int) -> None:
        """Only now can the work on `frame` begin, and `unread` frames before it were not fetched
        yet: it is not wanted before those are shown."""
        self.begun = max(self.begun, now + LEAD_S + (unread - frame) / FRAME_RATE_HZ)

    def of(self, frame: int) -> float:
        """When `frame` is wanted."""
        return self.begun + frame / FRAME_RATE_HZ
