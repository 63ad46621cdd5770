"""A peer made of aiortc, which only packs and encrypts what was encoded before.

Three names that aiortc and aioice do not publish are used here; `test_aiortc_peer.py` holds the
libraries to them, and pyproject.toml keeps their version.
"""

from __future__ import annotations

import asyncio
import logging
from fractions import Fraction
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import (
    InvalidAccessError,
    InvalidStateError,
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from ditto_avatar.errors import InvalidInput
from ditto_avatar.transport.rtc.aiortc_delays import Urgency, show_at_once
from ditto_avatar.transport.rtc.aiortc_reports import ReportClock
from ditto_avatar.transport.rtc.peer import PeerCalls, PeerOptions
from ditto_avatar.transport.rtc.ticks import PICTURE_RATE_HZ, SOUND_RATE_HZ, TIMESTAMPS
from ditto_avatar.types import SAMPLE_RATE_HZ

log = logging.getLogger(__name__)

# A second of what could not be sent is late already.
_MOST_WAITING = 50
_ORIGIN = "_RTCRtpSender__rtp_timestamp"
_KEY_WISH = "_send_keyframe"
_ADDRESSES = "get_host_addresses"
# What aiortc raises for an offer that it cannot read.
_UNREADABLE = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)


class _Packets(MediaStreamTrack):
    """Hand ready packets to aiortc, which fetches them."""

    def __init__(self, kind: str, rate_hz: int) -> None:
        super().__init__()
        self.kind = kind
        self.newest: int | None = None
        """The time of the packet that went out last, in units of its clock."""
        self._rate_hz = rate_hz
        self._time_base = Fraction(1, rate_hz)
        self.urgency = Urgency()
        self._queue: asyncio.Queue[tuple[Packet[Any], bool]] = asyncio.Queue()

    @property
    def newest_s(self) -> float | None:
        """`newest` in seconds."""
        return None if self.newest is None else self.newest / self._rate_hz

    def put(self, data: bytes, time: int, at_once: bool = False) -> None:
        if self._queue.qsize() >= _MOST_WAITING:
            self._queue.get_nowait()
        packet: Packet[Any] = Packet(data)
        packet.pts, packet.time_base = time, self._time_base
        self._queue.put_nowait((packet, at_once))

    async def recv(self) -> Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        packet, at_once = await self._queue.get()
        self.newest = packet.pts
        self.urgency.next(at_once)
        return packet


class AiortcPeer:
    """One `RTCPeerConnection`. Belongs to the loop it was made in."""

    def __init__(self, options: PeerOptions, calls: PeerCalls) -> None:
        self._options = options
        self._calls = calls
        # Without ICE servers: only browsers need them, and gathering would wait for them.
        self._connection = RTCPeerConnection(
            RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._pictures = _Packets("video", PICTURE_RATE_HZ)
        self._sounds = _Packets("audio", SOUND_RATE_HZ)
        self._sender: RTCRtpSender | None = None
        self._reports = ReportClock()
        self._origin: int | None = None
        self._listening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ended = False
        self._connection.on("connectionstatechange", self._changed)
        self._connection.on("track", self._track)

    @property
    def connected(self) -> bool:
        """Whether packets arrive at the other side."""
        return self._connection.connectionState == "connected"

    @property
    def origin(self) -> int | None:
        """The RTP timestamp of picture time 0; None before a first picture was sent."""
        if self._origin is None and self._pictures.newest is not None and self._sender is not None:
            newest: int = getattr(self._sender, _ORIGIN)
            if newest:
                self._origin = (newest - self._pictures.newest) % TIMESTAMPS
        return self._origin

    async def answer(self, offer: str) -> str:
        """Take an offer and return the answer. Raises `InvalidInput`."""
        connection = self._connection
        direction = "sendrecv" if self._options.hears else "sendonly"
        sounds = connection.addTransceiver(self._sounds, direction=direction)
        pictures = connection.addTransceiver(self._pictures, direction="sendonly")
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        # Before the offer is set: later it would be ignored, and the answer say VP8.
        pictures.setCodecPreferences([c for c in capabilities if c.name in ("H264", "rtx")])
        self._sender = pictures.sender
        setattr(pictures.sender, _KEY_WISH, self._calls.key_wanted)
        show_at_once(pictures.sender, self._pictures.urgency)
        self._reports.keep(pictures.sender, self._pictures)
        self._reports.keep(sounds.sender, self._sounds, self._options.sound_ahead_s)
        _find_only(self._options.bind)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except _UNREADABLE as error:
            raise InvalidInput("The offer cannot be read, or not be answered.") from error
        return str(connection.localDescription.sdp)

    def send_picture(self, data: bytes, time: int, *, at_once: bool = False) -> None:
        """Send a picture, H.264 in Annex B, at `time` in 90 kHz. One that is to be seen `at_once`
        need not wait at the other side until those after it can be shown evenly."""
        self._pictures.put(data, time, at_once)

    def send_sound(self, data: bytes, time: int) -> None:
        """Send an Opus packet, at `time` in 48 kHz."""
        self._sounds.put(data, time)

    async def close(self) -> None:
        """Say goodbye and free everything. Cancelling is safe: it goes on all the same."""
        self._ended = True
        if self._closing is None:
            # aiortc that is cancelled here never comes to an end, however often it is called.
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        await self._connection.close()
        self._let_go()

    def _let_go(self) -> None:
        """Undo the circles of references: without them a peer's memory is free at once, and not
        some dozens of peers later, when the garbage collector comes round."""
        self._connection.remove_all_listeners()
        for transceiver in self._connection.getTransceivers():
            encrypted = transceiver.sender.transport
            for transport in (encrypted, encrypted.transport):
                transport.remove_all_listeners()
        if self._sender is not None:
            delattr(self._sender, _KEY_WISH)
            self._sender = None
        self._reports.let_go()

    def _changed(self) -> None:
        if self._connection.connectionState in ("failed", "closed") and not self._ended:
            self._ended = True
            self._calls.ended()

    def _track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._options.hears and self._listening is None:
            self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        """Hand on what the microphone hears, at 16 kHz."""
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.AudioFrame)
            for part in resampler.resample(frame):
                self._calls.heard(part.to_ndarray()[0].astype(np.float32) / 32_768)


def _find_only(addresses: tuple[str, ...]) -> None:
    """Let aioice use these addresses of the machine only; all of them where there are none. The
    same for all peers of a process."""
    if addresses:
        setattr(aioice.ice, _ADDRESSES, lambda use_ipv4, use_ipv6: list(addresses))
