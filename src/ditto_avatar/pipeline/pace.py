"""Limit how far and how fast a turn is drawn ahead of its viewers; turns that begin go first."""

from __future__ import annotations

import asyncio
import math

from ditto_avatar.clock import Clock, wait_until

# How far ahead of its viewers a turn has to be to wait for others without a gap: at its begin, and
# at most. Fragments grow up to a second, and one that is shown has to be whole.
_FIRST_RESERVE_S, _MOST_RESERVE_S, _RESERVE_GROWS = 0.4, 1.0, 0.25


class SpeakingTurns:
    """Know which turns of a server speak, and which of these have shown nothing yet."""

    def __init__(self) -> None:
        self._speaking: set[object] = set()
        self._beginning: set[object] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    def begin(self, turn: object) -> None:
        """Let `turn`, which has a first sentence to speak, go first from now on."""
        self._speaking.add(turn)
        self._beginning.add(turn)
        self._nobody.clear()

    def shown(self, turn: object) -> None:
        """Let `turn` be like all others: its first fragment was made."""
        self._beginning.discard(turn)
        if not self._beginning:
            self._nobody.set()

    def end(self, turn: object) -> None:
        """Forget `turn`: it is over."""
        self.shown(turn)
        self._speaking.discard(turn)

    @property
    def speed(self) -> float:
        """How many times as fast as it plays a turn may be drawn that can wait. One that speaks
        alone has the machine; several share the work of one more stream among them, so that
        somebody who comes finds time left."""
        count = len(self._speaking)
        return math.inf if count < 2 else 1 + 1 / count

    async def give_way(self, turn: object, clock: Clock, until: float) -> None:
        """Return once no turn begins, or at the time `until`; at once for a `turn` that begins
        itself, as one into a file does to its end. Cancelling is safe."""
        if self._nobody.is_set() or turn in self._beginning or clock.now() >= until:
            return
        await wait_until(self._nobody, clock, until)


class Pace:
    """Keep drawing from running far ahead of the viewers. Pictures that an interruption discards
    are lost work, and take time from sessions that wait for their first picture."""

    def __init__(
        self,
        clock: Clock,
        lead_s: float,
        turns: SpeakingTurns | None = None,
        turn: object | None = None,
    ) -> None:
        """Pace `turn`, which is one of `turns`, at most `lead_s` seconds ahead of its viewers."""
        self._turn = turn
        self._clock = clock
        self._lead_s = lead_s
        self._turns = turns or SpeakingTurns()
        # When media time 0 was playing, had the viewer never waited since.
        self._began = -math.inf
        # What was waited for last, and when that wait was over.
        self._last_media_s, self._last_s = 0.0, -math.inf

    async def wait(self, media_s: float) -> None:
        """Return when media time `media_s`, up to which everything was handed over, is at most the
        lead ahead of the viewer; and, with enough in reserve, when no other turn waits for its
        first fragment, and no sooner than others leave time. Cancelling is safe."""
        # Nobody plays what is not there: where the viewer stalled, it waits at `media_s`.
        self._began = max(self._began, self._clock.now() - media_s)
        played = self._began + media_s
        await self._clock.sleep_until(played - self._lead_s)
        latest = played - reserve_s(media_s)
        await self._turns.give_way(self._turn, self._clock, latest)
        share = self._last_s + (media_s - self._last_media_s) / self._turns.speed
        await self._clock.sleep_until(min(share, latest))
        self._last_media_s, self._last_s = media_s, self._clock.now()


def reserve_s(media_s: float) -> float:
    """Return how many seconds ahead of the viewer, once `media_s` were drawn, are enough to wait
    for others."""
    return min(_MOST_RESERVE_S, _FIRST_RESERVE_S + _RESERVE_GROWS * media_s)
