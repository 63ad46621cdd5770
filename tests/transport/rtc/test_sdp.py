from __future__ import annotations

import pytest

from ditto_avatar.errors import InvalidInput
from ditto_avatar.transport.rtc.sdp import MAX_SDP_CHARACTERS, checked_offer, with_address

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=candidate:1 1 udp 2113937151 192.0.2.77 50000 typ host",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 103",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:103 H264/90000",
        "a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
        "a=candidate:2 1 udp 2113937151 8f4c.local 50000 typ host",
        "a=end-of-candidates",
        "",
    ]
)


def test_an_offer_loses_its_candidates_and_nothing_else() -> None:
    offer = checked_offer(OFFER)
    assert "candidate" not in offer
    assert "192.0.2.77" not in offer
    assert ".local" not in offer
    assert len(offer.splitlines()) == len(OFFER.splitlines()) - 3


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        ("", "Expected an SDP offer"),
        ("hello", "Expected an SDP offer"),
        (OFFER.replace("packetization-mode=1", "packetization-mode=0"), "H.264"),
        (OFFER.replace("H264", "AV1"), "H.264"),
        (OFFER.replace("opus", "PCMU"), "Opus"),
        (OFFER + "m=video 9 RTP 1\r\n" * 3, "Expected an SDP offer"),
        (OFFER + "a=x\r\n" * MAX_SDP_CHARACTERS, "at most"),
    ],
)
def test_an_offer_that_is_of_no_use_is_refused_with_the_reason(offer: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        checked_offer(offer)


def test_the_answer_names_the_public_address_for_local_ones_of_its_family() -> None:
    answer = (
        "v=0\r\n"
        "a=candidate:a 1 udp 2130706431 10.0.0.5 40001 typ host\r\n"
        "a=candidate:b 1 udp 2130706431 fd00::2 40002 typ host\r\n"
    )
    assert with_address(answer, None) == answer
    changed = with_address(answer, "203.0.113.9")
    assert "203.0.113.9 40001" in changed
    assert "fd00::2 40002" in changed
    assert "10.0.0.5" not in changed
