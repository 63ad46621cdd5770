"""Remember which engines of a chain are worth trying."""

from __future__ import annotations

from ditto_avatar.clock import Clock, SystemClock
from ditto_avatar.errors import ProviderRefused


class Health:
    """Remember failures, so that not every sentence waits for a service that is down.

    An engine that failed rests for `rest_s`, one whose key was refused for `refused_rest_s`.
    """

    def __init__(
        self, clock: Clock | None = None, *, rest_s: float = 30.0, refused_rest_s: float = 600.0
    ) -> None:
        self._clock = clock or SystemClock()
        self._rest_s = rest_s
        self._refused_rest_s = refused_rest_s
        self._resting_until: dict[str, float] = {}

    def usable(self, name: str) -> bool:
        """Return whether the engine `name` is worth trying now."""
        return self._clock.now() >= self._resting_until.get(name, 0.0)

    def worked(self, name: str) -> None:
        """Note that the engine `name` worked."""
        self._resting_until.pop(name, None)

    def failed(self, name: str, error: Exception) -> None:
        """Note that the engine `name` failed with `error`."""
        rest = self._refused_rest_s if isinstance(error, ProviderRefused) else self._rest_s
        self._resting_until[name] = self._clock.now() + rest
