"""Let the reports of a peer (RTCP sender reports, RFC 3550, 6.4.1) tell one clock.

By them a browser brings sound and picture together. aiortc pairs the time of its newest packet with
the moment at which that was sent: a packet that goes out late bends the line that a browser draws
through the last twenty reports, and then the picture waits for a sound that is not late at all.
"""

from __future__ import annotations

import time
from typing import Protocol

from aiortc import RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

REPORTS = "_send_rtcp"
"""A name that aiortc does not publish."""
# From 1900, where NTP begins, to 1970.
_NTP_TO_UNIX_S = 2_208_988_800
_NTP_SECOND = 2**32


class Timed(Protocol):
    """What a sender sends."""

    @property
    def newest_s(self) -> float | None:
        """The time of the packet that went out last, in seconds; None before the first one."""


class ReportClock:
    """The clock of one peer: the same for its sound and its picture."""

    def __init__(self) -> None:
        # When the media clock was zero, in NTP time.
        self._zero: int | None = None
        self._kept: list[RTCRtpSender] = []

    def keep(self, sender: RTCRtpSender, track: Timed, ahead_s: float = 0.0) -> None:
        """Let the reports of `sender` say when on this clock the newest packet of `track` belongs,
        which goes out `ahead_s` too soon."""
        send = getattr(sender, REPORTS)

        async def send_exact(packets: list[AnyRtcpPacket]) -> None:
            newest_s = track.newest_s
            for packet in packets:
                if isinstance(packet, RtcpSrPacket) and newest_s is not None:
                    packet.sender_info.ntp_timestamp = self._ntp(newest_s, ahead_s)
            await send(packets)

        setattr(sender, REPORTS, send_exact)
        self._kept.append(sender)

    def let_go(self) -> None:
        """Let all senders report as they did before."""
        for sender in self._kept:
            delattr(sender, REPORTS)
        self._kept.clear()

    def _ntp(self, media_s: float, ahead_s: float) -> int:
        if self._zero is None:
            now_s = time.time() + _NTP_TO_UNIX_S
            self._zero = round((now_s - media_s) * _NTP_SECOND)
        return self._zero + round((media_s + ahead_s) * _NTP_SECOND)
