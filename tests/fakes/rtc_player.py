"""A player that speaks WebRTC, made of aiortc: what a browser is for the server, in the same
process."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from tests.deadlines import TEST_DEADLINE_S


class RtcPlayer:
    """Receives a picture and a sound, and counts them."""

    def __init__(
        self,
        microphone: MediaStreamTrack | None = None,
        configuration: RTCConfiguration | None = None,
    ) -> None:
        self.connection = RTCPeerConnection(configuration)
        self.pictures = 0
        self.sounds = 0
        self.loudest = 0
        self.state = "new"
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.connection.on("track", self._track)
        self.connection.on("connectionstatechange", self._state)
        if microphone is None:
            self.connection.addTransceiver("audio", direction="recvonly")
        else:
            self.connection.addTransceiver(microphone, direction="sendrecv")
        self.connection.addTransceiver("video", direction="recvonly")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def offer(self) -> str:
        """Make an offer, as a browser does."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take(self, answer: str) -> None:
        """Take the server's answer and begin."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def ask_for_a_key_picture(self) -> None:
        """Say that the picture is lost (PLI, RFC 4585), as a browser does."""
        (receiver,) = (t.receiver for t in self.connection.getTransceivers() if t.kind == "video")
        for source in receiver.getSynchronizationSources():
            await receiver._send_rtcp_pli(source.source)

    async def until(self, *, pictures: int = 0, sounds: int = 0) -> None:
        """Return once so many have come."""
        async with asyncio.timeout(TEST_DEADLINE_S):
            while self.pictures < pictures or self.sounds < sounds:
                self._changed.clear()
                await self._changed.wait()

    async def until_state(self, *states: str) -> None:
        """Return once the connection is in one of these states."""
        async with asyncio.timeout(TEST_DEADLINE_S):
            while self.state not in states:
                self._changed.clear()
                await self._changed.wait()

    def _state(self) -> None:
        self.state = self.connection.connectionState
        self._changed.set()

    def _track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._receive(track)))

    async def _receive(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                self.pictures += 1
            else:
                assert isinstance(frame, av.AudioFrame)
                self.sounds += 1
                self.loudest = max(self.loudest, int(np.abs(frame.to_ndarray()).max()))
            self._changed.set()
