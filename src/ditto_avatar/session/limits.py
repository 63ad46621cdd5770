"""Rate limits: so many per minute, with short bursts allowed."""

from __future__ import annotations

from collections import OrderedDict

from ditto_avatar.clock import Clock
from ditto_avatar.errors import RateLimited

_REMEMBERED = 10_000


class RateLimit:
    """A token bucket per key; the least recently seen keys are forgotten, so that many addresses
    cannot fill the memory."""

    def __init__(self, per_minute: int, clock: Clock, what: str) -> None:
        self._per_second = per_minute / 60
        self._burst = float(per_minute)
        self._clock = clock
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> None:
        """Count one for `key`. Raises `RateLimited` with the seconds to wait."""
        now = self._clock.now()
        tokens, at = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_second)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            seconds = (1 - tokens) / self._per_second
            raise RateLimited(f"Too many {self._what}; please wait {seconds:.0f} s.")
