"""Hold the paces that visitors' requests are held to."""

from __future__ import annotations

from dataclasses import dataclass

from ditto_avatar.clock import Clock
from ditto_avatar.metrics import Metrics
from ditto_avatar.server.throttle import Throttle
from ditto_avatar.session.limits import RateLimit
from ditto_avatar.session.sound_limits import SoundLimits
from ditto_avatar.settings import Settings

# Messages may come at once as they do after a pause of the network: this many seconds' worth.
_BURST_S = 5
# An address with more than this many busy connections slows them all down.
_SOCKETS_SHARE = 8
# Faces that an address may have made in a minute.
_FACES_PER_MINUTE = 6
# A page offers again when its network has changed.
_OFFERS_PER_MINUTE = 20


@dataclass(frozen=True, slots=True)
class Paces:
    """Limit how fast connections, addresses and sessions may ask. All belong to the event loop."""

    connection: Throttle
    """Messages of each WebSocket."""
    address: Throttle
    """Messages of all WebSockets of an address."""
    faces: RateLimit
    """Faces that an address has made."""
    offers: RateLimit
    """A session's offers of WebRTC: each opens a socket."""
    sound: SoundLimits
    """Sound from microphones."""

    @classmethod
    def of(cls, settings: Settings, clock: Clock, metrics: Metrics) -> Paces:
        """Make the paces that the settings name."""

        def messages(connections: int) -> Throttle:
            rate = settings.messages_per_second * connections
            return Throttle(rate, rate * _BURST_S, clock)

        return cls(
            connection=messages(1),
            address=messages(_SOCKETS_SHARE),
            faces=RateLimit(_FACES_PER_MINUTE, clock, "faces"),
            offers=RateLimit(_OFFERS_PER_MINUTE, clock, "offers of WebRTC"),
            sound=SoundLimits(clock, settings.turns_per_minute, metrics.sound_refused_s.inc),
        )
