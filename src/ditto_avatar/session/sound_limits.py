"""Limit how much sound a visitor may have transcribed."""

from __future__ import annotations

from collections.abc import Callable

from ditto_avatar.clock import Clock
from ditto_avatar.errors import RateLimited
from ditto_avatar.session.limits import THIS_MACHINE, RateLimit

# A microphone gives a second of sound in a second. Clocks differ, and what a slow network has
# held back comes at once.
_SPEED = 1.2
_BURST_S = 10.0
# Microphones that may be on at one address at the same time: a household, or an office.
_MICROPHONES = 4


class SoundLimits:
    """Count seconds of sound by session and by address, and utterances by session.

    What is counted may be sent to a paid service, so nobody gets more of it than a microphone
    gives. Belongs to the event loop.
    """

    def __init__(
        self,
        clock: Clock,
        utterances_per_minute: int,
        refused: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        """Call `refused` with the seconds of every piece that is not taken."""
        self._session = RateLimit(_SPEED * 60, clock, "seconds of sound", burst=_BURST_S)
        self._address = RateLimit(
            _MICROPHONES * _SPEED * 60, clock, "seconds of sound", burst=_MICROPHONES * _BURST_S
        )
        self._utterances = RateLimit(utterances_per_minute, clock, "spoken messages")
        self._refused = refused

    def take_sound(self, session: str, address: str, seconds: float) -> None:
        """Count a piece of sound. Raises `RateLimited` when it is too much."""
        try:
            self._session.take(session, seconds)
            if address not in THIS_MACHINE:
                self._address.take(address, seconds)
        except RateLimited:
            self._refused(seconds)
            raise

    def take_utterance(self, session: str) -> None:
        """Count something said that is to be understood. Raises `RateLimited`."""
        self._utterances.take(session)
