"""Count the ticks of sound and picture: one clock for both, and never a burst."""

from __future__ import annotations

TICK_S = 0.02
"""A tick is one packet of sound; a picture lasts two."""
TICKS_PER_PICTURE = 2
SOUND_RATE_HZ, PICTURE_RATE_HZ = 48_000, 90_000
"""The clocks of RTP timestamps."""
SOUND_PER_TICK = 960
PICTURE_PER_TICK = 1_800
TIMESTAMPS = 2**32
"""RTP timestamps count modulo this."""
# What Chromium keeps of sound when it is left to itself and packets come on time.
_USUAL_SOUND_DELAY_MS = 60
# How long Chromium needs from the packets of a picture to the picture.
_PICTURE_DELAY_MS = 20
# What is later than this is left out; less is caught up.
_MOST_LATE_S = 0.1


def sound_ahead(delay_ms: int | None) -> int:
    """Return how many ticks sound goes ahead of its pictures to a page that keeps sound for
    `delay_ms`, None for one that does not say.

    A browser keeps sound longer than pictures, against packets that come late. Sound that is sent
    so much sooner is heard with its picture, and no picture is held back for it. Each sentence
    begins with 150 ms of silence, which need not be sent.
    """
    delay_ms = _USUAL_SOUND_DELAY_MS if delay_ms is None else delay_ms
    return max(0, round((delay_ms - _PICTURE_DELAY_MS) / 1000 / TICK_S))


class Ticks:
    """Say which ticks are due. A clock without I/O: times are handed in."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._next = 0
        self.skipped = 0
        """Ticks that were left out because they were more than 100 ms late."""

    @property
    def next(self) -> int:
        """The number of the tick that is due next."""
        return self._next

    @property
    def next_at(self) -> float:
        """When the next tick is due, in seconds."""
        return self._started + self._next * TICK_S

    def due(self, now: float) -> range:
        """Return the numbers of the ticks that are due at `now`, mostly one."""
        behind = int((now - self._started) / TICK_S + 1e-6) + 1
        late = behind - self._next - round(_MOST_LATE_S / TICK_S)
        if late > 0:
            self.skipped += late
            self._next += late
        due = range(self._next, max(self._next, behind))
        self._next = due.stop
        return due
