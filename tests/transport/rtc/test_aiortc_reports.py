"""The reports of a peer, with packets that go out late."""

from __future__ import annotations

import pytest

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from typing import Any, cast

from aiortc import RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSrPacket

from ditto_avatar.transport.rtc.aiortc_reports import REPORTS, ReportClock

SECOND = 2**32


class Sender:
    """What aiortc has, as far as reports go; notes the NTP times that go out."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.newest_s: float | None = None

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        self.times += [p.sender_info.ntp_timestamp for p in packets if isinstance(p, RtcpSrPacket)]

    async def report(self, newest_s: float, sent: int) -> None:
        """Report as aiortc does: the time of the newest packet, and when it was `sent`."""
        self.newest_s = newest_s
        info = RtcpSenderInfo(sent, round(newest_s * 90_000), 1, 1)
        await getattr(self, REPORTS)([RtcpSrPacket(1, info), RtcpSdesPacket()])


def kept(clock: ReportClock, ahead_s: float = 0.0) -> Sender:
    sender = Sender()
    clock.keep(cast(RTCRtpSender, cast(Any, sender)), sender, ahead_s)
    return sender


async def test_packets_that_go_out_late_do_not_bend_the_clock() -> None:
    sender = kept(ReportClock())
    for newest_s, late_s in ((1.0, 0.0), (2.0, 0.09), (2.5, 0.03)):
        await sender.report(newest_s, round((newest_s + late_s) * SECOND))
    first, second, third = sender.times
    assert (second - first) / SECOND == pytest.approx(1.0, abs=1e-6)
    assert (third - first) / SECOND == pytest.approx(1.5, abs=1e-6)


async def test_sound_and_picture_have_one_clock_and_sound_that_is_ahead_belongs_later() -> None:
    clock = ReportClock()
    sound, picture = kept(clock, ahead_s=0.1), kept(clock)
    await sound.report(3.0, 5 * SECOND)
    await picture.report(3.04, 6 * SECOND)
    apart = (sound.times[0] - picture.times[0]) / SECOND
    assert apart == pytest.approx(0.1 - 0.04, abs=1e-6)


async def test_nothing_is_said_of_packets_before_there_were_any() -> None:
    sender = kept(ReportClock())
    await getattr(sender, REPORTS)([RtcpSrPacket(1, RtcpSenderInfo(0, 0, 0, 0))])
    assert sender.times == [0]


async def test_a_sender_that_is_let_go_reports_as_before() -> None:
    clock = ReportClock()
    sender = kept(clock)
    clock.let_go()
    await sender.report(1.0, 77)
    assert sender.times == [77]
