"""Time, injected so that tests need not wait for it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only go forward, and a way to wait for them."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`; at once when it has passed."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))
