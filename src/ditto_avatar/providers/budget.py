"""Limit what paid services are used for in a day, and remember how much that is.

    spending = budget.reserve(len(sentence))   # before the request; raises `BudgetUsedUp`
    ...
    spending.settle(actual)                    # when it is known

A day is one of UTC. What is used is kept in a small file, so that a restart gives nothing back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.errors import BudgetUsedUp, ProviderFailed
from ditto_avatar.files import write_whole
from ditto_avatar.metrics import Metrics

log = logging.getLogger(__name__)

# A crash may forget what was used in so long.
_SAVE_EVERY_S = 1.0


class Paid(StrEnum):
    """The services that are paid for, with their units."""

    SPEECH = "speech_characters"
    TRANSCRIPTION = "transcription_seconds"
    DIALOGUE = "dialogue_tokens"


def utc_today() -> date:
    """Return the day by which budgets are counted."""
    return datetime.now(UTC).date()


class Budget:
    """Count what one kind of service is used for in a day. Belongs to the event loop.

    Once a request did not fit, the budget is used up until the next day: otherwise short
    sentences would still be spoken by one voice and long ones by another.
    """

    def __init__(
        self,
        paid: Paid,
        limit: float = math.inf,
        *,
        today: Callable[[], date] = utc_today,
        changed: Callable[[], object] = lambda: None,
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        """Call `changed` after every change, `refused` for every request that is not made."""
        self.limit = limit
        self._paid = paid
        self._today = today
        self._changed = changed
        self._refused = refused
        self._day = today()
        self._used = 0.0
        self._used_up = False

    @property
    def used(self) -> float:
        """What was used today, with what is reserved."""
        self._turn_page()
        return self._used

    def reserve(self, amount: float) -> Spending:
        """Reserve `amount` before a request is made. Raises `BudgetUsedUp` when that is more than
        is left."""
        self._turn_page()
        if self._used_up or self._used + amount > self.limit:
            self._refuse()
        self._change(amount)
        return Spending(self, amount, self._day)

    @contextlib.contextmanager
    def spend(self, amount: float) -> Iterator[Spending]:
        """Reserve `amount` for a request within the block. What the service refused is given
        back; what was cut off counts, for the service may have done it."""
        spending = self.reserve(amount)
        try:
            yield spending
        except ProviderFailed:
            spending.settle(0)
            raise

    def restore(self, day: date, used: float) -> None:
        """Go on from what was used on `day` before this process began."""
        if day == self._day:
            self._used += used

    def settle(self, day: date, difference: float) -> None:
        """Correct what was reserved on `day`; called by `Spending`."""
        self._turn_page()
        if day == self._day:
            self._change(difference)

    def _change(self, amount: float) -> None:
        self._used = max(0.0, self._used + amount)
        self._changed()

    def _refuse(self) -> None:
        unit = self._paid.replace("_", " ")
        if not self._used_up:
            self._used_up = True
            log.warning(
                "the daily budget of %s is used up: %.0f of %.0f", unit, self._used, self.limit
            )
        self._refused()
        raise BudgetUsedUp(f"Today's budget of {unit} is used up.")

    def _turn_page(self) -> None:
        if (today := self._today()) != self._day:
            self._day, self._used, self._used_up = today, 0.0, False


class Spending:
    """Hold what one request has reserved, until it is known what it used."""

    def __init__(self, budget: Budget, amount: float, day: date) -> None:
        self._budget = budget
        self._amount = amount
        self._day = day
        self._settled = False

    def settle(self, actual: float) -> None:
        """Count `actual` instead of what was reserved; only the first time counts."""
        if not self._settled:
            self._settled = True
            self._budget.settle(self._day, actual - self._amount)


class Budgets:
    """Keep the budgets of a server in `file`. Belongs to the event loop, but for the file.

    `open` reads what was used before, `close` writes it for the last time.
    """

    def __init__(
        self,
        limits: Mapping[Paid, float | None],
        file: Path,
        metrics: Metrics,
        *,
        clock: Clock | None = None,
        today: Callable[[], date] = utc_today,
    ) -> None:
        """Take a limit of None or 0 for none; what is used is counted all the same."""
        self._file = file
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._today = today
        self._changes = asyncio.Event()
        self._saving: asyncio.Task[None] | None = None
        self._writing = threading.Lock()
        self._failing = False
        self._budgets = {paid: self._budget(paid, limits.get(paid)) for paid in Paid}

    def of(self, paid: Paid) -> Budget:
        """Return the budget of one kind of service."""
        return self._budgets[paid]

    async def open(self) -> None:
        """Go on from what was used today before this process began. Cancelling is safe."""
        day, used = await asyncio.to_thread(self._read)
        for paid, amount in used.items():
            self._budgets[paid].restore(day, amount)
        self._saving = asyncio.create_task(self._keep_saved())

    async def close(self) -> None:
        """Write what was used. Cancelling is safe: what was written before stays."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.wait([self._saving])
        if self._changes.is_set():
            await self._save()

    def _budget(self, paid: Paid, limit: float | None) -> Budget:
        budget = Budget(
            paid,
            limit or math.inf,
            today=self._today,
            changed=self._changes.set,
            refused=self._metrics.budget_refused.labels(paid.value).inc,
        )
        self._metrics.budget_used.labels(paid.value).set_function(lambda: budget.used)
        if limit:
            self._metrics.budget_limit.labels(paid.value).set(limit)
        return budget

    async def _keep_saved(self) -> None:
        while True:
            await self._changes.wait()
            await self._save()
            await self._clock.sleep_until(self._clock.now() + _SAVE_EVERY_S)

    async def _save(self) -> None:
        self._changes.clear()
        used = {paid.value: round(budget.used, 3) for paid, budget in self._budgets.items()}
        text = json.dumps({"day": self._today().isoformat(), "used": used})
        try:
            await asyncio.to_thread(self._write, text)
        except OSError as error:
            self._changes.set()
            self._metrics.errors.labels("budget_not_saved").inc()
            if not self._failing:
                log.warning("what was used of the budgets cannot be kept: %s", error.strerror)
            self._failing = True
        except asyncio.CancelledError:
            self._changes.set()
            raise
        else:
            self._failing = False

    def _write(self, text: str) -> None:
        with self._writing:
            write_whole(self._file, lambda path: path.write_text(text, encoding="utf-8"))

    def _read(self) -> tuple[date, dict[Paid, float]]:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            day, used = date.fromisoformat(kept["day"]), kept["used"]
            return day, {Paid(name): max(0.0, float(amount)) for name, amount in used.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("what was used of the budgets cannot be read (%s)", type(error).__name__)
        return self._today(), {}
