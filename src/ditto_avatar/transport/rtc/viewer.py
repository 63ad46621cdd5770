"""One viewer's WebRTC: which segments go this way, and what happens when it breaks.

A segment that goes over WebRTC is encoded in fragments as well, for the cache, for other viewers.
Its fragments are held back for this viewer: when WebRTC breaks in the middle of a sentence they
are sent at once, and the page goes on with them where it stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ditto_avatar.errors import where_raised
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.events import (
    AvatarSelected,
    SegmentData,
    SegmentLive,
    SegmentPlaced,
    SegmentStarted,
    TurnInterrupted,
    TurnStarted,
)
from ditto_avatar.transport.outbox import NumberedEvent, Outbox
from ditto_avatar.transport.rtc.channels import RtcPlace
from ditto_avatar.transport.rtc.service import RtcLink, RtcService
from ditto_avatar.transport.rtc.ticks import sound_ahead
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)

# Some minute of speech: beyond it the viewer plays the clip, as one that reads too slowly does.
_MOST_HELD_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class _Held:
    """The fragments of one segment that goes over WebRTC."""

    generation: int
    fragments: list[NumberedEvent]
    bytes: int = 0


class RtcViewer:
    """Hold the WebRTC of one viewer, beside its outbox. Belongs to the event loop."""

    def __init__(
        self,
        service: RtcService,
        outbox: Outbox,
        metrics: Metrics,
        *,
        heard: Callable[[FloatArray], object] | None = None,
        placed: Callable[[RtcPlace], object] | None = None,
        over: Callable[[], object] | None = None,
        foreign: bool = False,
    ) -> None:
        """Call `heard` with the samples of the viewer's microphone, `placed` instead of telling
        the outbox, and `over` when the peer is gone. A `foreign` player has no idle loop of its
        own."""
        self.up = False
        """Whether the next segment goes over WebRTC."""
        self._service = service
        self._outbox = outbox
        self._metrics = metrics
        self._heard = heard
        self._placed = placed or self._tell_place
        self._over = over
        self._foreign = foreign
        self._link: RtcLink | None = None
        self._held: dict[str, _Held] = {}
        self._shows: asyncio.Task[None] | None = None
        # Fragments that the page has not played to their end: a segment of WebRTC would begin on
        # top of them.
        self._streamed: dict[str, int] = {}
        outbox.route = self

    async def offer(self, sdp: str, avatar: Avatar, sound_delay_ms: int | None = None) -> str:
        """Open a peer in the place of the one there was; the answer. A page keeps sound for
        `sound_delay_ms` before it is heard, None where it does not say. Raises `Busy` and
        `InvalidInput`. Cancelling is safe."""
        self.stop("replaced")
        await self.close()
        link, answer = await self._service.open(
            sdp,
            placed=self._placed,
            ended=self._ended,
            heard=self._heard,
            # A foreign player may play both when they come.
            sound_ahead=0 if self._foreign else sound_ahead(sound_delay_ms),
            foreign=self._foreign,
        )
        self._link = link
        self._show_idle(avatar)
        return answer

    def start(self) -> None:
        """Take the next segments: the viewer says that packets arrive."""
        if self._link is not None and not self.up:
            self.up = True
            self._metrics.rtc_connections.labels("up").inc()

    def stop(self, reason: str) -> None:
        """Take no more segments, and send the fragments of those that were taken."""
        if not self.up:
            return
        self.up = False
        self._metrics.rtc_fallbacks.labels(reason).inc()
        log.info("a viewer goes back from WebRTC to fragments (%s)", reason)
        self._clear()
        held, self._held = self._held, {}
        for name, segment in held.items():
            self._streamed[name] = segment.generation
            for item in segment.fragments:
                self._outbox.add(item)

    def played(self, segment: str) -> None:
        """Forget the fragments of a segment that the viewer has seen to its end."""
        self._held.pop(segment, None)
        self._streamed.pop(segment, None)

    def pass_on(self, item: NumberedEvent) -> NumberedEvent | None:
        """Take from an event what goes over WebRTC; return what goes into the outbox."""
        event = item.event
        match event:
            case SegmentLive():
                self._take(event)
                return None
            case SegmentStarted() if event.segment in self._held:
                return NumberedEvent(replace(event, transport="rtc"), item.seq)
            case SegmentData() if event.segment in self._held:
                self._hold(self._held[event.segment], item, event)
                return None
            case TurnStarted():
                self._drop_older(event.generation - 1)
            case TurnInterrupted():
                self._drop_older(event.generation)
            case AvatarSelected(avatar):
                self._show_idle(avatar)
        if isinstance(event, SegmentStarted):
            self._streamed[event.segment] = event.generation
        return item

    async def close(self) -> None:
        """Close the peer, if there is one. Cancelling is safe: it is closed all the same."""
        self.up = False
        self._held.clear()
        if self._shows is not None:
            self._shows.cancel()
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _take(self, event: SegmentLive) -> None:
        packets = event.packets
        if self.up and self._link is not None and not self._streamed:
            self._held[packets.segment] = _Held(event.generation, [])
            self._link.play(packets)

    def _hold(self, held: _Held, item: NumberedEvent, event: SegmentData) -> None:
        total = sum(other.bytes for other in self._held.values()) + len(event.data)
        if total <= _MOST_HELD_BYTES:
            held.bytes += len(event.data)
            held.fragments.append(item)
        elif held.bytes:
            # The page plays the clip, should it need more than WebRTC.
            gone = replace(event, data=b"", last=True, dropped=True)
            held.fragments[:], held.bytes = [NumberedEvent(gone, None)], 0

    def _drop_older(self, newest: int) -> None:
        kept = {id: held for id, held in self._held.items() if held.generation > newest}
        if len(kept) < len(self._held):
            self._clear()
        self._held = kept
        self._streamed = {id: at for id, at in self._streamed.items() if at > newest}

    def _clear(self) -> None:
        if self._link is not None:
            self._link.clear()

    def _ended(self) -> None:
        """The peer is over, before the page noticed."""
        self.stop("ended")
        if self._over is not None:
            self._over()

    def _tell_place(self, place: RtcPlace) -> None:
        self._outbox.tell(SegmentPlaced(place.segment, place.rtp, place.frame, place.frames))

    def _show_idle(self, avatar: Avatar) -> None:
        if self._link is not None:
            self._shows = asyncio.create_task(self._show(self._link, avatar))

    async def _show(self, link: RtcLink, avatar: Avatar) -> None:
        try:
            await link.show_idle(avatar)
        except Exception as error:
            # The border of a task: without the loop only the warm-up is missing.
            log.error("an idle loop could not be encoded: %s", where_raised(error))
