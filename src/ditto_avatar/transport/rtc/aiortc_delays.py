"""Say how long a browser may keep a picture before it is seen: the RTP header extension
"playout-delay" of WebRTC, which aiortc does not know.

A browser keeps each picture some 25 ms, so that those after it come evenly. The first one of an
answer follows nothing, and somebody waits for it: it may be seen at once.
"""

from __future__ import annotations

from aiortc import RTCRtpSender
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import (
    HeaderExtensions,
    HeaderExtensionsMap,
    pack_header_extensions,
    unpack_header_extensions,
)

EXTENSIONS = "_RTCRtpSender__rtp_header_extensions_map"
"""A name that aiortc does not publish."""
URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
# The least and the most in steps of 10 ms, of 12 bits each. Chromium shows pictures when they come
# as long as the most is 500 ms or less (at 0 it would leave some out); so short a most also goes
# before what it holds pictures back for its sound. 10 s is what it begins with.
AT_ONCE = (1).to_bytes(3)
AS_USUAL = (1_000).to_bytes(3)
# Said with so many pictures: packets may be lost.
_PICTURES_AFTER = 5
# Those of aiortc end at 3.
_OWN_NUMBER = 4


class Urgency:
    """What is said of the picture that goes out now; mostly nothing."""

    def __init__(self) -> None:
        self.limits: bytes | None = None
        """The content of the extension."""
        self._after = 0

    def next(self, at_once: bool) -> None:
        """Go on to the next picture."""
        if at_once:
            self.limits, self._after = AT_ONCE, _PICTURES_AFTER
        else:
            self.limits = AS_USUAL if self._after else None
            self._after = max(0, self._after - 1)


class _Extensions(HeaderExtensionsMap):
    """Add the delays to what aiortc writes into a packet, where the other side takes them."""

    def __init__(self, urgency: Urgency) -> None:
        super().__init__()
        self._urgency = urgency
        self._number: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        numbers = (e.id for e in parameters.headerExtensions if e.uri == URI)
        self._number = next(numbers, None)

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, written = super().set(values)
        limits = self._urgency.limits
        if self._number is None or limits is None:
            return profile, written
        known = unpack_header_extensions(profile, written) if written else []
        return pack_header_extensions([*known, (self._number, limits)])


def show_at_once(sender: RTCRtpSender, urgency: Urgency) -> None:
    """Let `sender` say with each picture what its `urgency` says. To be called before the other
    side's offer is set."""
    _offer_extension()
    setattr(sender, EXTENSIONS, _Extensions(urgency))


def _offer_extension() -> None:
    """Let aiortc take the extension where it is offered. The same for all peers of a process."""
    taken = HEADER_EXTENSIONS["video"]
    if all(extension.uri != URI for extension in taken):
        taken.append(RTCRtpHeaderExtensionParameters(id=_OWN_NUMBER, uri=URI))
