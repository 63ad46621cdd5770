"""Limit how far a turn is drawn ahead of its viewers, and let turns that begin go first."""

from __future__ import annotations

import asyncio
import math

from ditto_avatar.clock import Clock

# A turn that is this far ahead of its viewers can wait for others without a gap.
_COMFORT_S = 1.0


class Precedence:
    """Know which turns of a server speak and have shown nothing yet."""

    def __init__(self) -> None:
        self._beginning: set[object] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    def begin(self, turn: object) -> None:
        """Let `turn` go first from now on."""
        self._beginning.add(turn)
        self._nobody.clear()

    def end(self, turn: object) -> None:
        """Let `turn` be like all others: its first fragment was made, or it is over."""
        self._beginning.discard(turn)
        if not self._beginning:
            self._nobody.set()

    async def give_way(self, clock: Clock, until: float) -> None:
        """Return once no turn begins, or at the time `until`. Cancelling is safe."""
        if self._nobody.is_set() or clock.now() >= until:
            return
        waits = [
            asyncio.ensure_future(self._nobody.wait()),
            asyncio.ensure_future(clock.sleep_until(until)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Pace:
    """Keep drawing from running far ahead of the viewers. Pictures that an interruption discards
    are lost work, and take time from sessions that wait for their first picture."""

    def __init__(self, clock: Clock, lead_s: float, precedence: Precedence | None = None) -> None:
        self._clock = clock
        self._lead_s = lead_s
        self._precedence = precedence or Precedence()
        # When media time 0 was playing, had the viewer never waited since.
        self._began = -math.inf

    async def wait(self, media_s: float) -> None:
        """Return when media time `media_s`, up to which everything was handed over, is at most the
        lead ahead of the viewer; and, with more than a second in hand, when no other turn waits for
        its first fragment. Cancelling is safe."""
        # Nobody plays what is not there: where the viewer ran dry, it waits at `media_s`.
        self._began = max(self._began, self._clock.now() - media_s)
        played = self._began + media_s
        await self._clock.sleep_until(played - self._lead_s)
        await self._precedence.give_way(self._clock, played - _COMFORT_S)
