"""Limit one visitor: messages a minute with short bursts, and a share of common places."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from ditto_avatar.clock import Clock
from ditto_avatar.errors import RateLimited

_REMEMBERED = 10_000
# The machine itself: the operator, or a proxy that is not declared as one and stands
# for all its visitors.
THIS_MACHINE = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Share:
    """Limit how much of something one address may hold: `fraction` of it, rounded up. With a
    fraction below 1 it is never all, unless there is only one."""

    fraction: float

    def of(self, total: int, address: str) -> int:
        """Return the number of `total` places that `address` may hold."""
        if address in THIS_MACHINE or self.fraction >= 1 or total <= 1:
            return total
        return min(total - 1, math.ceil(total * self.fraction))


class RateLimit:
    """Keep a token bucket for each key. The least recently seen keys are forgotten, so that many
    addresses cannot fill the memory."""

    def __init__(
        self, per_minute: float, clock: Clock, what: str, *, burst: float | None = None
    ) -> None:
        """Allow `burst` at once; by default those of a minute."""
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
