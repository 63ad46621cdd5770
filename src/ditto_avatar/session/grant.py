"""Limit a session to what it was granted when it was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ditto_avatar.clock import Clock
from ditto_avatar.errors import Forbidden, UsedUp
from ditto_avatar.face.cutout import SUFFIX
from ditto_avatar.session.limits import RateLimit


@dataclass(frozen=True, slots=True)
class Grant:
    """The limits of a session and the name of the key that it was opened with. It is stored with
    the session, so that it holds after a restart as well. None means no limit."""

    key: str
    ends_at: float | None = None
    """When the session ends, in seconds of Unix time."""
    avatars: tuple[str, ...] | None = None
    turns: int | None = None
    turns_per_minute: int | None = None

    def as_record(self) -> dict[str, Any]:
        """Return the values to store."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any] | None) -> Grant | None:
        """Read what `as_record` has made; None for a session that was opened without a grant."""
        if record is None:
            return None
        avatars = record.get("avatars")
        return cls(**{**record, "avatars": None if avatars is None else tuple(avatars)})


def key_of(grant: Grant | None) -> str | None:
    """Return the name of the key that a session was opened with, if it was."""
    return None if grant is None else grant.key


class Allowance:
    """Count one session's turns against its grant. Belongs to the event loop."""

    def __init__(self, grant: Grant | None, clock: Clock) -> None:
        self._grant = grant
        per_minute = None if grant is None else grant.turns_per_minute
        self._pace = None if per_minute is None else RateLimit(per_minute, clock, "messages")

    def take_turn(self, turns: int) -> None:
        """Count a turn after `turns` that the session has had. Raises `UsedUp` and
        `RateLimited`."""
        if self._grant is None:
            return
        if self._grant.turns is not None and turns >= self._grant.turns:
            raise UsedUp(f"This invitation was for {self._grant.turns:,} messages; all are used.")
        if self._pace is not None:
            self._pace.take("")

    def check_avatar(self, name: str) -> None:
        """Raise `Forbidden` for a presenter that the grant does not name."""
        if self._grant is not None and not may_show(self._grant.avatars, name):
            raise Forbidden(f"This invitation does not include the presenter {name!r}.")


def may_show(avatars: tuple[str, ...] | None, name: str) -> bool:
    """Return whether `name` is among the presenters that are allowed; None allows all."""
    return avatars is None or name.removesuffix(SUFFIX) in avatars
