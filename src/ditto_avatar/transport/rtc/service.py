"""Open peers for viewers, within limits, and send to them from a thread of their own.

The methods of `RtcService` and `RtcLink` belong to the event loop of the server; peers and
playheads belong to the thread's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from ditto_avatar.errors import Busy
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.media.pictures import encode_loop
from ditto_avatar.metrics import Metrics
from ditto_avatar.transport.rtc.channels import Channel, Channels, RtcPlace
from ditto_avatar.transport.rtc.options import RtcOptions
from ditto_avatar.transport.rtc.peer import MakePeer, PeerCalls, PeerOptions
from ditto_avatar.transport.rtc.playhead import Playhead
from ditto_avatar.transport.rtc.sdp import checked_offer, with_address
from ditto_avatar.transport.rtc.thread import LoopThread
from ditto_avatar.transport.rtc.ticks import TICK_S
from ditto_avatar.types import FloatArray

log = logging.getLogger(__name__)

# Pictures that go first through a new connection, so that it has learned its delays before
# somebody speaks: 2 s.
_WARM_UP_TICKS = 100
_WARM_UP_PICTURES = 50
# A browser that does not say goodbye is waited for no longer.
_GOODBYE_S = 5.0


class RtcLink:
    """One peer that was opened for a viewer, as the server's loop sees it."""

    def __init__(self, service: RtcService, channel: Channel) -> None:
        self._service = service
        self._channel = channel
        self._closed = False

    def play(self, packets: SegmentPackets) -> None:
        """Send a segment after what was to be sent before."""
        self._service.thread.post(self._service.play, self._channel, packets)

    def clear(self) -> None:
        """Send nothing more of what was to be sent."""
        self._service.thread.post(self._channel.playhead.clear)

    async def show_idle(self, avatar: Avatar) -> None:
        """Have this avatar's loop as the idle picture. Cancelling is safe."""
        pictures = await self._service.idle_pictures(avatar)
        self._service.thread.post(self._channel.playhead.loop, pictures)

    async def close(self) -> None:
        """Close the peer. Cancelling is safe: it is closed all the same."""
        if not self._closed:
            self._closed = True
            await self._service.release(self._channel)


class RtcService:
    """Hold the thread, the limits and the metrics of WebRTC."""

    def __init__(self, options: RtcOptions, metrics: Metrics, make_peer: MakePeer) -> None:
        self.options = options
        self.thread = LoopThread("rtc", options.ports)
        self._metrics = metrics
        self._make_peer = make_peer
        self._places = 0
        self._channels: Channels | None = None
        self._loops: WeakKeyDictionary[Avatar, asyncio.Task[list[EncodedPicture]]] = (
            WeakKeyDictionary()
        )
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def peers(self) -> int:
        """Places that are taken."""
        return self._places

    def start(self) -> None:
        """Begin to serve."""
        self.thread.start()

    async def close(self) -> None:
        """Close what is still open, and end the thread."""
        for task in list(self._loops.values()):
            task.cancel()
        await self.settled()
        await self.thread.close()

    async def settled(self) -> None:
        """Return once no peer is being closed any more. Cancelling is safe."""
        while self._closing:
            await asyncio.wait(self._closing)

    def told(self) -> dict[str, Any]:
        """Return what a page has to know before it makes an offer. A TURN server sees a name that
        says nothing of the person."""
        ice = self.options.ice
        return {
            "ice_servers": ice.told(secrets.token_hex(8)),
            "expires_in": int(ice.ttl_s),
            "microphone": self.options.hears,
        }

    async def open(
        self,
        offer: str,
        *,
        placed: Callable[[RtcPlace], object],
        ended: Callable[[], object],
        heard: Callable[[FloatArray], object] | None = None,
        sound_ahead: int = 0,
        foreign: bool = False,
    ) -> tuple[RtcLink, str]:
        """Open a peer for an offer; its link, and the answer. The callbacks are called in this
        loop. Sound goes `sound_ahead` ticks before its picture. A `foreign` player has no idle
        loop of its own. Raises `Busy` and `InvalidInput`. Cancelling is safe: nothing stays
        open."""
        offer = checked_offer(offer)
        if self._places >= self.options.max_peers:
            raise Busy(f"All {self._places} places for WebRTC are taken.")
        self._places += 1
        self._metrics.rtc_peers.set(self._places)
        here = asyncio.get_running_loop()

        def told_here(callback: Callable[..., object], *arguments: object) -> None:
            # A loop that has ended needs to hear nothing.
            with suppress(RuntimeError):
                here.call_soon_threadsafe(callback, *arguments)

        idle_ticks = None if foreign and self.options.streams_idle else _WARM_UP_TICKS
        channel = Channel(
            Playhead(
                start_frames=self.options.start_frames,
                idle_ticks=idle_ticks,
                sound_ahead=sound_ahead,
            ),
            lambda place: told_here(placed, place),
            lambda: told_here(self._metrics.rtc_bridges.inc),
            lambda: told_here(ended),
        )
        calls = PeerCalls(
            channel.key_wanted,
            (lambda samples: told_here(heard, samples)) if heard else (lambda samples: None),
            channel.ended,
        )
        try:
            options = PeerOptions(self.options.bind, self.options.hears, sound_ahead * TICK_S)
            answer = await self.thread.call(lambda: self._answer(channel, calls, offer, options))
        except BaseException:
            self._closing_later(channel)
            raise
        return RtcLink(self, channel), with_address(answer, self.options.address)

    def play(self, channel: Channel, packets: SegmentPackets) -> None:
        """In the thread: send a segment to `channel`."""
        assert self._channels is not None, "a channel is answered before it plays"
        self._channels.play(channel, packets)

    async def release(self, channel: Channel) -> None:
        """Close a channel and give its place back. Cancelling is safe: it goes on."""
        await asyncio.shield(self._closing_later(channel))

    async def idle_pictures(self, avatar: Avatar) -> Sequence[EncodedPicture]:
        """Return an avatar's idle loop, encoded once for all viewers. Cancelling is safe."""
        task = self._loops.get(avatar)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            count = avatar.frame_count if self.options.streams_idle else _WARM_UP_PICTURES
            task = asyncio.create_task(asyncio.to_thread(_encoded, avatar, count))
            self._loops[avatar] = task
        return await asyncio.shield(task)

    async def _answer(
        self, channel: Channel, calls: PeerCalls, offer: str, options: PeerOptions
    ) -> str:
        """In the thread: make the peer and let it answer."""
        channel.peer = self._make_peer(options, calls)
        answer = await channel.peer.answer(offer)
        if self._channels is None:
            self._channels = Channels(lambda count: self._metrics.rtc_skipped_ticks.inc(count))
        self._channels.add(channel)
        return answer

    def _closing_later(self, channel: Channel) -> asyncio.Task[None]:
        task = asyncio.create_task(self._close(channel), name="closing a WebRTC peer")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _close(self, channel: Channel) -> None:
        async def close() -> None:
            if self._channels is not None:
                self._channels.remove(channel)
            self._metrics.rtc_underruns.inc(channel.playhead.underruns)
            async with asyncio.timeout(_GOODBYE_S):
                await channel.close()

        try:
            # What is left when the thread ends is cancelled there.
            if self.thread.alive:
                await self.thread.call(close)
        except TimeoutError:
            log.warning("a WebRTC peer did not close in time")
        finally:
            self._places -= 1
            self._metrics.rtc_peers.set(self._places)


def _encoded(avatar: Avatar, count: int) -> list[EncodedPicture]:
    frames = (avatar.idle_frames[i] for i in range(min(count, avatar.frame_count)))
    return encode_loop(frames, avatar.width, avatar.height)
