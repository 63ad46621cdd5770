"""Hand out places for turns: so many at once, a fair line for the rest; beyond that, refuse.

A free place goes to watched turns before unwatched ones; among those, to the address that holds
the fewest places; among those, to the turn that has waited longest. An address never holds more
than its share of the places and of the line. While watched turns wait, unwatched running turns
have to give way.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ditto_avatar.errors import Busy
from ditto_avatar.session.limits import Share

# Viewers leave without a word to the line: those in it look again this often.
_LOOK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A turn that wants a place. `on_position` is called with its position in line, 1 being next
    and 0 the place itself; `give_way` is called, at most once, when it has to make room."""

    address: str
    watched: Callable[[], bool]
    on_position: Callable[[int], object]
    give_way: Callable[[], object]


class Admission:
    """Hand out places. Belongs to the event loop. The number of `places` may change: those who
    have one keep it."""

    def __init__(self, places: int | Callable[[], int], max_waiting: int, share: Share) -> None:
        self._count = places if callable(places) else lambda: places
        self._max_waiting = max_waiting
        self._share = share
        self._running: dict[Claim, bool] = {}
        """Claims with a place, and whether they were asked to give way; oldest first."""
        self._line: dict[Claim, asyncio.Future[None]] = {}
        """Claims without one, oldest first."""
        self._positions: dict[Claim, int] = {}
        self.idle = asyncio.Event()
        """Set while nobody has a place; `busy` is set while somebody has."""
        self.busy = asyncio.Event()
        self.idle.set()

    @property
    def _places(self) -> int:
        return self._count()

    @property
    def speaking(self) -> int:
        """Places taken."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Turns in line."""
        return len(self._line)

    @asynccontextmanager
    async def place(self, claim: Claim) -> AsyncIterator[None]:
        """Hold a place inside the block. Raises `Busy` when the line is full, or later when the
        place in line goes to somebody who watches. Cancelling is safe: the place, or the place in
        line, goes to the next."""
        await self._enter(claim)
        try:
            yield
        finally:
            del self._running[claim]
            self._advance()

    async def _enter(self, claim: Claim) -> None:
        self._join(claim)
        came = self._line[claim]
        waited = False
        try:
            self._advance()
            while not came.done():
                waited = True
                self._make_room()
                await asyncio.wait([came], timeout=_LOOK_AGAIN_S)
                self._advance()
            came.result()
        except BaseException:
            # Cancelled, or put out: a place that was handed over in this moment goes to the next.
            self._line.pop(claim, None)
            self._running.pop(claim, None)
            self._advance()
            raise
        if waited:
            claim.on_position(0)

    def _join(self, claim: Claim) -> None:
        """Stand in line. Raises `Busy` if there is no room, after trying to make some."""
        held = sum(other.address == claim.address for other in self._running)
        begins = len(self._running) < self._places and held < self._share.of(
            self._places, claim.address
        )
        if not begins and len(self._line) >= self._max_waiting:
            unwatched = next((c for c in reversed(self._line) if not c.watched()), None)
            if unwatched is None or not claim.watched():
                raise self._full()
            self._line.pop(unwatched).set_exception(self._full())
        waiting = sum(other.address == claim.address for other in self._line)
        if not begins and waiting >= self._share.of(self._max_waiting, claim.address):
            raise Busy(f"{waiting} of your messages wait already. Please try again in a moment.")
        self._line[claim] = asyncio.get_running_loop().create_future()

    def _full(self) -> Busy:
        return Busy(
            f"All {self._places} places are taken and {self._max_waiting} people wait already."
            " Please try again in a moment."
        )

    def _advance(self) -> None:
        """Hand out what is free, and tell those in line whose position changed."""
        while len(self._running) < self._places and (order := self._order(able=True)):
            claim = order[0]
            came = self._line.pop(claim)
            self._running[claim] = False
            came.set_result(None)
        self._tell()
        positions = {claim: at for at, claim in enumerate(self._order(), start=1)}
        told, self._positions = self._positions, positions
        for claim, position in positions.items():
            if told.get(claim) != position:
                claim.on_position(position)

    def _tell(self) -> None:
        now, past = (self.busy, self.idle) if self._running else (self.idle, self.busy)
        now.set()
        past.clear()

    def _order(self, *, able: bool = False) -> list[Claim]:
        """The line in the order in which places will be handed out; `able` leaves out those whose
        address has its share."""
        held = Counter(claim.address for claim in self._running)
        arrival = itertools.count()
        line = [(claim, next(arrival)) for claim in self._line]
        if able:
            line = [
                (claim, at)
                for claim, at in line
                if held[claim.address] < self._share.of(self._places, claim.address)
            ]
        ordered: list[Claim] = []
        while line:
            best = min(line, key=lambda c: (not c[0].watched(), held[c[0].address], c[1]))
            line.remove(best)
            held[best[0].address] += 1
            ordered.append(best[0])
        return ordered

    def _make_room(self) -> None:
        """Ask one unwatched running turn to give way for each watched one that waits."""
        leaving = sum(self._running.values())
        for claim in [c for c in self._order() if c.watched()][leaving:]:
            self._make_room_for(claim)

    def _make_room_for(self, claim: Claim) -> None:
        held = sum(other.address == claim.address for other in self._running)
        allowed = self._share.of(self._places, claim.address)
        for running, asked in self._running.items():
            fits = held - (running.address == claim.address) < allowed
            if fits and not asked and not running.watched():
                self._running[running] = True
                running.give_way()
                return
