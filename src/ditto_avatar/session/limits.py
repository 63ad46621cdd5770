"""Limits for one visitor: so many a minute, with short bursts allowed, and a share of what all
have together."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from ditto_avatar.clock import Clock
from ditto_avatar.errors import RateLimited

_REMEMBERED = 10_000
# The machine itself: whoever runs the server, or a proxy that is not declared as one and stands
# for all its visitors.
THIS_MACHINE = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Share:
    """How much of something limited one address may hold: `fraction` of it, rounded up. With a
    fraction below 1 it is never all, unless there is only one."""

    fraction: float

    def of(self, total: int, address: str) -> int:
        """The number of `total` places that `address` may hold."""
        if address in THIS_MACHINE or self.fraction >= 1 or total <= 1:
            return total
        return min(total - 1, math.ceil(total * self.fraction))


class RateLimit:
    """A token bucket per key; the least recently seen keys are forgotten, so that many addresses
    cannot fill the memory."""

    def __init__(
        self, per_minute: float, clock: Clock, what: str, *, burst: float | None = None
    ) -> None:
        """`burst` is how many may come at once; by default those of a minute."""
        self._per_second = per_minute / 60
        self._burst = float(per_minute if burst is None else burst)
        self._clock = clock
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, amount: float = 1.0) -> None:
        """Count `amount` for `key`. Raises `RateLimited` with the seconds to wait."""
        now = self._clock.now()
        tokens, at = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_second)
        allowed = tokens >= amount
        self._buckets[key] = (tokens - amount if allowed else tokens, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            seconds = (amount - tokens) / self._per_second
            raise RateLimited(f"Too many {self._what}; please wait {seconds:.0f} s.")
