"""Follow a page's idle loop, and tell where it will be when a picture arrives there."""

from __future__ import annotations

from ditto_avatar.clock import Clock
from ditto_avatar.types import FRAME_RATE_HZ

# From the first picture's making to when a page can paint it, until one has reported its figure.
_FIRST_GUESS_S = 0.2
_LONGEST_S = 1.0
# How much one report changes the estimate.
_WEIGHT = 0.3


class IdlePosition:
    """Compute the frame of a page's idle loop from its reports. Between reports the loop goes on at
    its own rate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frame = 0.0
        self._at = clock.now()
        self._paint_delay_s = _FIRST_GUESS_S

    def report(self, frame: float) -> None:
        """Note that the loop is at `frame` now; a number beyond its end counts around it."""
        self._frame = frame
        self._at = self._clock.now()

    def painted(self, delay_s: float) -> None:
        """Note that a page could have painted a picture `delay_s` seconds after it was made. What
        it then waited for its loop does not count: the loop was aimed at by this estimate."""
        delay_s = min(_LONGEST_S, max(0.0, delay_s))
        self._paint_delay_s += _WEIGHT * (delay_s - self._paint_delay_s)

    def at_arrival(self, frame_count: int) -> int:
        """Return the frame of a loop of `frame_count` that the viewer will see when a picture that
        is made now arrives."""
        elapsed = self._clock.now() - self._at + self._paint_delay_s
        return int(self._frame + elapsed * FRAME_RATE_HZ) % frame_count
