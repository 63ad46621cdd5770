"""Send to all peers at the ticks of one clock. All of it belongs to the loop of its thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ditto_avatar.errors import where_raised
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.media.pictures import bridge
from ditto_avatar.transport.rtc.peer import Peer
from ditto_avatar.transport.rtc.playhead import BridgeWanted, Placed, Playhead
from ditto_avatar.transport.rtc.ticks import (
    PICTURE_PER_TICK,
    SOUND_PER_TICK,
    TIMESTAMPS,
    Ticks,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RtcPlace:
    """Picture `frame` of `segment` has the RTP timestamp `rtp`, and those after it follow at
    90 kHz. `frames` is how many there are, None as long as nobody knows."""

    segment: str
    rtp: int
    frame: int
    frames: int | None


class Channel:
    """Join a peer with its playhead."""

    def __init__(
        self,
        playhead: Playhead,
        placed: Callable[[RtcPlace], object],
        bridged: Callable[[], object],
        ended: Callable[[], object],
    ) -> None:
        """Call `placed` with what the viewer has to know of a segment, `bridged` when pictures were
        encoded for this peer alone, and `ended` when it gets nothing any more."""
        self.peer: Peer | None = None
        self.ended = ended
        self.playhead = playhead
        self._placed = placed
        self._bridged = bridged
        self._first: int | None = None
        self._next = 0
        self._unknown: list[Placed] = []
        self._bridging: asyncio.Task[None] | None = None

    def tick(self, number: int) -> None:
        """Send what is due at tick `number` of the common clock, once."""
        peer = self.peer
        if peer is None or not peer.connected or number < self._next:
            return
        self._next = number + 1
        origin = peer.origin
        if self._first is None:
            self._first = number
        own = number - self._first
        sending = self.playhead.tick(own)
        peer.send_sound(sending.sound, own * SOUND_PER_TICK)
        if sending.picture is not None:
            time = own * PICTURE_PER_TICK
            peer.send_picture(sending.picture.data, time, at_once=sending.at_once)
        if sending.placed is not None:
            self._unknown.append(sending.placed)
        if origin is not None and self._unknown:
            for placed in self._unknown:
                self._tell(placed, origin)
            self._unknown.clear()

    @property
    def begins(self) -> bool:
        """Whether a sentence begins at the next tick, for somebody who has waited."""
        return self.peer is not None and self.peer.connected and self.playhead.begins

    def key_wanted(self) -> None:
        """Answer a peer that has lost the picture."""
        wanted = self.playhead.key_wanted()
        if wanted is not None and (self._bridging is None or self._bridging.done()):
            self._bridging = asyncio.ensure_future(self._bridge(wanted))

    async def close(self) -> None:
        """Close the peer. Cancelling is safe: it is closed all the same."""
        if self._bridging is not None:
            self._bridging.cancel()
        peer, self.peer = self.peer, None
        if peer is not None:
            await peer.close()

    async def _bridge(self, wanted: BridgeWanted) -> None:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(None, partial(bridge, wanted.pictures, wanted.at))
        except Exception as error:
            # The border of a task: without its bridge the viewer waits for the next key picture.
            log.error("a bridge could not be made: %s", where_raised(error))
            return
        if self.playhead.cross(wanted, made):
            self._bridged()

    def _tell(self, placed: Placed, origin: int) -> None:
        rtp = (origin + placed.tick * PICTURE_PER_TICK) % TIMESTAMPS
        self._placed(RtcPlace(placed.segment, rtp, placed.frame, placed.frames))


class Channels:
    """Tick all channels, as long as there are any."""

    def __init__(self, skipped: Callable[[int], object]) -> None:
        """Call `skipped` with the number of ticks that were left out because they were late."""
        self._channels: set[Channel] = set()
        self._skipped = skipped
        self._ticks = Ticks(0.0)
        self._ticking: asyncio.Task[None] | None = None

    def play(self, channel: Channel, packets: SegmentPackets) -> None:
        """Send a segment to `channel` after what was to be sent before. Where that was nothing, it
        begins at once: the next tick comes up to 20 ms early for this channel."""
        channel.playhead.expect(packets)
        if channel in self._channels and channel.begins:
            self._tick_one(channel, self._ticks.next)

    def add(self, channel: Channel) -> None:
        """Tick this one too from now on."""
        self._channels.add(channel)
        if self._ticking is None or self._ticking.done():
            self._ticks = Ticks(time.monotonic())
            self._ticking = asyncio.ensure_future(self._tick())

    def remove(self, channel: Channel) -> None:
        """Tick this one no more."""
        self._channels.discard(channel)

    async def _tick(self) -> None:
        ticks = self._ticks
        skipped = 0
        while self._channels:
            for number in ticks.due(time.monotonic()):
                for channel in list(self._channels):
                    self._tick_one(channel, number)
            if ticks.skipped > skipped:
                self._skipped(ticks.skipped - skipped)
                skipped = ticks.skipped
            await asyncio.sleep(max(0.0, ticks.next_at - time.monotonic()))

    def _tick_one(self, channel: Channel, number: int) -> None:
        try:
            channel.tick(number)
        except Exception as error:
            # The border of a channel: others go on.
            log.error("a channel broke: %s", where_raised(error))
            self._channels.discard(channel)
            channel.ended()
