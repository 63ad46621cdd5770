"""When a viewer wants to see the frames of a stream.

Pure. Work that could not begin yet is not late: when sound arrives late, or the reader's buffer is
full, the deadlines of all later frames move back.
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

    def start_no_earlier(self, now: float, frame: int, unread: int) -> None:
        """Move the deadlines back: work on `frame` begins at `now`, and `unread` frames before it
        have not been fetched yet."""
        self.begun = max(self.begun, now + LEAD_S + (unread - frame) / FRAME_RATE_HZ)

    def of(self, frame: int) -> float:
        """When `frame` is wanted."""
        return self.begun + frame / FRAME_RATE_HZ
