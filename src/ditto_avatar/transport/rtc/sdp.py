"""Read offers and write answers of WebRTC (SDP, RFC 8866), as far as it concerns this server."""

from __future__ import annotations

import ipaddress
import re

from ditto_avatar.errors import InvalidInput

MAX_SDP_CHARACTERS = 16_384
# Lines of candidates would make the server send packets to any address that they name. It needs
# none: it learns a browser's address from the browser's own packets.
_CANDIDATE = re.compile(r"^a=(candidate:|end-of-candidates)")
_H264 = re.compile(r"^a=rtpmap:(\d+) H264/90000", re.MULTILINE | re.IGNORECASE)
_OPUS = re.compile(r"^a=rtpmap:\d+ opus/48000/2", re.MULTILINE | re.IGNORECASE)
_MOST_MEDIA = 4


def checked_offer(sdp: str) -> str:
    """Return the offer without its candidates. Raises `InvalidInput` for one that is too long, or
    that does not take H.264 (packetisation mode 1) and Opus."""
    if len(sdp) > MAX_SDP_CHARACTERS:
        raise InvalidInput(
            f"Expected an offer of at most {MAX_SDP_CHARACTERS} characters, came {len(sdp)}."
        )
    lines = [line for line in sdp.splitlines() if not _CANDIDATE.match(line)]
    offer = "\r\n".join(lines) + "\r\n"
    media = sum(line.startswith("m=") for line in lines)
    if not lines or lines[0] != "v=0" or not 1 <= media <= _MOST_MEDIA:
        raise InvalidInput("Expected an SDP offer with a picture and a sound.")
    if not any(_mode_1(offer, payload) for payload in _H264.findall(offer)):
        raise InvalidInput("The offer takes no H.264 with packetisation mode 1.")
    if not _OPUS.search(offer):
        raise InvalidInput("The offer takes no Opus.")
    return offer


def _mode_1(offer: str, payload: str) -> bool:
    parameters = re.search(rf"^a=fmtp:{payload} (.*)$", offer, re.MULTILINE)
    return parameters is not None and "packetization-mode=1" in parameters[1]


def with_address(answer: str, address: str | None) -> str:
    """Return the answer with `address` in the place of each local one of its family: the address
    that a router forwards to this machine."""
    if address is None:
        return answer
    version = ipaddress.ip_address(address).version
    lines = []
    for line in answer.splitlines():
        words = line.split(" ")
        if line.startswith("a=candidate:") and _version(words[4]) == version:
            words[4] = address
        lines.append(" ".join(words))
    return "\r\n".join(lines) + "\r\n"


def _version(address: str) -> int | None:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return None
