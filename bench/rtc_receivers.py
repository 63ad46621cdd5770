"""Receivers of WebRTC for `bench.rtc`, in a process of their own: they take packets and look at
none. Offers go out as JSON lines, answers come in; `bytes` asks for what has come so far, with the
headers of UDP and IP."""

from __future__ import annotations

import asyncio
import json
import sys

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCDtlsTransport

_HEADERS_BYTES = 28
received = 0


async def _count(self: RTCDtlsTransport, data: bytes, arrival_time_ms: int) -> None:
    global received
    received += len(data) + _HEADERS_BYTES


async def main() -> None:
    """Serve the commands of standard input: `open`, `answer`, `bytes`, `close`."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    RTCDtlsTransport._handle_rtp_data = _count  # type: ignore[method-assign]
    peers: list[RTCPeerConnection] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        answer: object = None
        if command["do"] == "open":
            peer = RTCPeerConnection()
            for kind in ("audio", "video"):
                peer.addTransceiver(kind, direction="recvonly")
            await peer.setLocalDescription(await peer.createOffer())
            peers.append(peer)
            answer = peer.localDescription.sdp
        elif command["do"] == "answer":
            description = RTCSessionDescription(command["sdp"], "answer")
            await peers[-1].setRemoteDescription(description)
        elif command["do"] == "close":
            await asyncio.gather(*(peer.close() for peer in peers))
            peers.clear()
        else:
            answer = received
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
