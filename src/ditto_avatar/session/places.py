"""Count the sessions in memory, and share their places among addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ditto_avatar.errors import Busy
from ditto_avatar.session.limits import Share


class MemoryPlaces:
    """Count how many sessions each address has in memory, those that are loading included."""

    def __init__(self, most: int, share: Share) -> None:
        self._most = most
        self._share = share
        self._held: Counter[str] = Counter()

    def reserve(self, address: str, put_out: Callable[[str | None], object]) -> None:
        """Take a place for one more session of `address`; `give_back` frees it. `put_out` is called
        to free one first: of the address when it has its share, of any address when all are taken.
        Raises `Busy` when that did not help."""
        allowed = self._share.of(self._most, address)
        if self._held[address] >= allowed:
            put_out(address)
        if self._held[address] >= allowed:
            raise Busy(f"You have {allowed:,} open sessions already; please close one of them.")
        if self._held.total() >= self._most:
            put_out(None)
        if self._held.total() >= self._most:
            raise Busy(f"All {self._most:,} sessions are taken; please try again later.")
        self._held[address] += 1

    def give_back(self, address: str) -> None:
        """Free a place that was reserved."""
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]
