"""Limit how far a turn is drawn ahead of its viewers."""

from __future__ import annotations

import math

from ditto_avatar.clock import Clock


class Pace:
    """Keep drawing from running far ahead of the viewers. Pictures that an interruption discards
    are lost work, and take time from sessions that wait for their first picture."""

    def __init__(self, clock: Clock, lead_s: float) -> None:
        self._clock = clock
        self._lead_s = lead_s
        # When media time 0 was playing, had the viewer never waited since.
        self._began = -math.inf

    async def wait(self, media_s: float) -> None:
        """Return when media time `media_s`, up to which everything was handed over, is at most the
        lead ahead of the viewer. Cancelling is safe."""
        # Nobody plays what is not there: where the viewer ran dry, it waits at `media_s`.
        self._began = max(self._began, self._clock.now() - media_s)
        await self._clock.sleep_until(self._began + media_s - self._lead_s)
