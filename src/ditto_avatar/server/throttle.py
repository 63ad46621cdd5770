"""Share what is held, and slow down what is sent too fast. Both belong to the event loop."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from ditto_avatar.clock import Clock

_REMEMBERED = 10_000


class Shares:
    """Count how many of something each holder has. Only holders that have any are remembered."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def total(self) -> int:
        """How many all holders have together."""
        return sum(self._held.values())

    def held(self, holder: Hashable) -> int:
        """Return how many `holder` has."""
        return self._held.get(holder, 0)

    def largest(self) -> tuple[Hashable, int]:
        """Return the holder of the most, and how many these are; None and 0 when nobody has any."""
        holder = max(self._held, key=self._held.__getitem__, default=None)
        return holder, self.held(holder)

    def take(self, holder: Hashable) -> bool:
        """Take one more for `holder`; False when it has `most` already."""
        held = self._held.get(holder, 0)
        if held >= self.most:
            return False
        self._held[holder] = held + 1
        return True

    def give_back(self, holder: Hashable) -> None:
        """Give back one that was taken."""
        left = self._held[holder] - 1
        if left:
            self._held[holder] = left
        else:
            del self._held[holder]


class Throttle:
    """Make senders wait, each for itself, so that none sends faster than `per_second` for long;
    `burst` may come at once. The senders that were seen least recently are forgotten."""

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        self._interval_s = 1 / per_second
        self._slack_s = (burst - 1) * self._interval_s
        self._clock = clock
        # When each sender's next message would be due at the steady pace.
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    async def wait(self, sender: Hashable) -> None:
        """Return when the next message of `sender` may be handled. The place is taken before the
        wait, so senders under one name share its pace. Cancelling is safe; the place is used up."""
        due = self.charge(sender)
        if due - self._slack_s > self._clock.now():
            await self._clock.sleep_until(due - self._slack_s)

    def charge(self, sender: Hashable, messages: float = 1) -> float:
        """Count `messages` of `sender` without waiting for them; return when they were due at the
        steady pace."""
        now = self._clock.now()
        due = max(self._due.pop(sender, now), now)
        self._due[sender] = due + messages * self._interval_s
        if len(self._due) > _REMEMBERED:
            self._due.popitem(last=False)
        return due
