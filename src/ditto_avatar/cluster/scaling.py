"""Decide how many workers there should be, from the places that are taken."""

from __future__ import annotations

from dataclasses import dataclass, field

ADD_ABOVE = 0.75
"""A quarter of the places is kept for the streams of a worker that is lost."""
REMOVE_BELOW = 0.5
REMOVE_AFTER_S = 900.0
"""A card takes minutes to load; people come back sooner."""


@dataclass(slots=True)
class Scaler:
    """Between `least` and `most` workers, one less after `remove_after_s` seconds without need. No
    clock and no I/O: times are handed in."""

    least: int
    most: int
    remove_after_s: float = REMOVE_AFTER_S
    _quiet_since: float | None = field(default=None, init=False)

    def wanted(self, now: float, started: int, places: list[tuple[int, int]]) -> int:
        """Return how many workers there should be: `started` are there or on their way, those that
        answer have `places` (taken, of how many). One more or one less at a time."""
        if started < self.least:
            return self.least
        taken, total = sum(t for t, _ in places), sum(of for _, of in places)
        # Places that are on their way count before another worker is sent for.
        coming = (started - len(places)) * (total / len(places)) if places else 0
        if places and taken > ADD_ABOVE * (total + coming):
            self._quiet_since = None
            return min(started + 1, self.most)
        if not places or taken >= REMOVE_BELOW * (total - total / len(places)):
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since >= self.remove_after_s and started > self.least:
            self._quiet_since = now
            return started - 1
        return min(started, self.most)
