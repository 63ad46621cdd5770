"""Choose the worker that draws a stream, and wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ditto_avatar.cluster.bringing import PackCarrier
from ditto_avatar.cluster.fleet import Fleet, KnownWorker
from ditto_avatar.errors import Busy, Unavailable


@dataclass(slots=True)
class Placing:
    """What the streams of one engine share. `fingerprint` is that of the workers that draw alike;
    a stream waits for a place, at first and when its worker was lost, for up to `place_s`."""

    fleet: Fleet
    carrier: PackCarrier
    fingerprint: str
    token: str | None
    on_lost: Callable[[], object]
    place_s: float

    async def place(self, pack: str, lost: set[KnownWorker]) -> KnownWorker:
        """Return the worker with the most free places, of several one that has the `pack` already;
        none of the `lost`, unless it was away and speaks again.

        Raises `Busy` when none is free in time, `Unavailable` when none answers. Cancelling is
        safe: nothing is taken.
        """
        fleet = self.fleet
        try:
            async with asyncio.timeout(self.place_s):
                while (worker := fleet.choose(self.fingerprint, pack, lost)) is None:
                    await fleet.changed()
                    lost &= {one for one in lost if one.places is None}
        except TimeoutError as error:
            if not fleet.workers:
                raise Unavailable("No worker answers that could draw.") from error
            raise Busy("All workers are taken.") from error
        worker.opening += 1
        return worker
