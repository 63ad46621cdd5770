"""What this package asks of a WebRTC library. `aiortc_peer` is the one implementation; a quicker
library may take its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ditto_avatar.types import FloatArray


@dataclass(frozen=True, slots=True)
class PeerCalls:
    """What a peer reports, in the thread of its loop: a wish for a key picture, samples (n,) at
    16 kHz of a microphone, and that the connection is over."""

    key_wanted: Callable[[], object]
    heard: Callable[[FloatArray], object]
    ended: Callable[[], object]


class Peer(Protocol):
    """One browser or player. All methods belong to the loop that it was made in."""

    @property
    def connected(self) -> bool:
        """Whether packets arrive at the other side."""

    @property
    def origin(self) -> int | None:
        """The RTP timestamp of picture time 0; None before a first picture was sent."""

    async def answer(self, offer: str) -> str:
        """Take an offer (SDP) and return the answer. Raises `InvalidInput`. Close the peer when
        this fails or is cancelled."""

    def send_picture(self, data: bytes, time: int, *, at_once: bool = False) -> None:
        """Send a picture, H.264 in Annex B, at `time` in 90 kHz. One that is to be seen `at_once`
        need not wait at the other side until those after it can be shown evenly."""

    def send_sound(self, data: bytes, time: int) -> None:
        """Send an Opus packet, at `time` in 48 kHz."""

    async def close(self) -> None:
        """Say goodbye and free everything. Cancelling is safe: it goes on all the same."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """`bind` are the local addresses to use, all of this machine by default. With `hears`, the
    other side may send its microphone. Sound is sent `sound_ahead_s` before the pictures that
    belong to it, and the reports to the other side (RTCP) say so."""

    bind: tuple[str, ...] = ()
    hears: bool = False
    sound_ahead_s: float = 0.0


MakePeer = Callable[[PeerOptions, PeerCalls], Peer]
