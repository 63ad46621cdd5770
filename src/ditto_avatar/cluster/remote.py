"""Let workers draw: the face engine of a server that has none of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ditto_avatar.cluster import worker_pb2 as pb
from ditto_avatar.cluster.bringing import PackCarrier
from ditto_avatar.cluster.fleet import Fleet
from ditto_avatar.cluster.placing import Placing
from ditto_avatar.cluster.remote_stream import RemoteStream
from ditto_avatar.cluster.tls import Tls
from ditto_avatar.cluster.watchdog import Lost
from ditto_avatar.face.avatar import Avatar


class RemoteEngine:
    """Draw at the workers of `fleet`. `on_lost` counts streams that went on at another one."""

    def __init__(
        self,
        fleet: Fleet,
        token: str | None,
        first: pb.Places,
        on_lost: Callable[[], object],
        place_s: float = 10.0,
    ) -> None:
        """With `place_s`, how long a stream waits for a place, and for another worker when its own
        was lost."""
        self.name = first.engine
        self.fingerprint = first.fingerprint
        self.fleet = fleet
        self._carrier = PackCarrier(token)
        self._placing = Placing(fleet, self._carrier, first.fingerprint, token, on_lost, place_s)
        self._streams: set[RemoteStream] = set()

    @classmethod
    async def connect(
        cls,
        addresses: Iterable[str],
        token: str | None,
        on_lost: Callable[[], object],
        first_s: float = 30.0,
        place_s: float = 10.0,
        tls: Tls | None = None,
    ) -> RemoteEngine:
        """Find the workers, and talk to them over `tls` where it is given. Raises `Unavailable`
        when none answers, `InvalidInput` for an address that is none."""
        fleet = Fleet(addresses, token, tls, first_s)
        return cls(fleet, token, await fleet.open(), on_lost, place_s)

    @property
    def max_streams(self) -> int | None:
        """The places of all workers that speak."""
        return sum(worker.places.total for worker in self.fleet.workers if worker.places) or None

    @property
    def strained(self) -> bool:
        """Whether any worker draws with less than full quality."""
        return any(worker.places.strained for worker in self.fleet.workers if worker.places)

    async def prepare(self, avatar: Avatar) -> None:
        """Bring the pack to the workers that lack it, and which prepare it then; what they have
        they prepared when they started. Raises `InvalidAvatar` when one refuses it. Cancelling is
        safe: what is on its way goes on."""
        lacking = [one for one in self.fleet.workers if not one.has(avatar.fingerprint)]
        ends = await asyncio.gather(
            *(self._carrier.bring(worker, avatar) for worker in lacking), return_exceptions=True
        )
        for error in ends:
            # A worker that is lost gets it when it is back and has to draw it.
            if error is not None and not isinstance(error, Lost):
                raise error

    async def open(self, avatar: Avatar, start_frame: int = 0) -> RemoteStream:
        """Begin a stream at the worker with the most free places. Raises `Busy` when none is free
        in time, `InvalidAvatar` when a worker cannot draw this pack. Cancelling is safe."""
        stream = RemoteStream(self._placing, avatar, start_frame, self._streams.discard)
        self._streams.add(stream)
        try:
            await stream.opened()
        except BaseException:
            await stream.cancel()
            raise
        return stream

    async def close(self) -> None:
        """Cancel what runs and stop watching the workers. Cancelling is safe: nothing goes on."""
        try:
            for stream in list(self._streams):
                await stream.cancel()
        finally:
            try:
                await self._carrier.close()
            finally:
                await self.fleet.close()
