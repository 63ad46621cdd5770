"""What packets say of how long a picture may be kept."""

from __future__ import annotations

import pytest

pytest.importorskip("aiortc", reason="the extra rtc is not installed")

from aiortc import RTCPeerConnection
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, unpack_header_extensions

from ditto_avatar.transport.rtc import aiortc_delays
from ditto_avatar.transport.rtc.aiortc_delays import AS_USUAL, AT_ONCE, URI, Urgency, show_at_once

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def written(urgency: Urgency, **numbers: int) -> list[tuple[int, bytes]]:
    """What stands in a packet for another side that takes extensions by these numbers."""
    extensions = aiortc_delays._Extensions(urgency)
    uris = {"mid": MID, "delay": URI}
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=number, uri=uris[name])
                for name, number in numbers.items()
            ]
        )
    )
    profile, data = extensions.set(HeaderExtensions(mid="0"))
    return unpack_header_extensions(profile, data) if data else []


def test_a_picture_is_shown_at_once_and_those_after_it_as_usual() -> None:
    urgency = Urgency()
    urgency.next(False)
    assert urgency.limits is None
    said: list[bytes | None] = []
    for at_once in (True, *[False] * 7):
        urgency.next(at_once)
        said.append(urgency.limits)
    assert said == [AT_ONCE, *[AS_USUAL] * 5, None, None]


def test_the_delay_stands_beside_what_else_a_packet_says() -> None:
    urgency = Urgency()
    urgency.next(True)
    assert written(urgency, mid=3, delay=7) == [(3, b"0"), (7, AT_ONCE)]
    assert written(urgency, delay=7) == [(7, AT_ONCE)]


def test_nothing_is_said_to_a_player_that_does_not_take_it() -> None:
    urgency = Urgency()
    urgency.next(True)
    assert written(urgency, mid=3) == [(3, b"0")]


def test_the_least_and_the_most_are_steps_of_10_ms() -> None:
    for content, most_ms in ((AT_ONCE, 10), (AS_USUAL, 10_000)):
        both = int.from_bytes(content)
        assert (both >> 12) * 10 == 0
        assert (both & 0xFFF) * 10 == most_ms


async def test_the_name_that_aiortc_does_not_publish_is_there() -> None:
    connection = RTCPeerConnection()
    sender = connection.addTransceiver("video").sender
    assert hasattr(sender, aiortc_delays.EXTENSIONS)
    show_at_once(sender, Urgency())
    await connection.close()
