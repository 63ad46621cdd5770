"""Hold what a session and its turns share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ditto_avatar.clock import Clock
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.session.conversation import Conversation
from ditto_avatar.session.grant import Grant, key_of
from ditto_avatar.session.idle_position import IdlePosition
from ditto_avatar.session.loudspeaker import Loudspeaker
from ditto_avatar.session.services import Services
from ditto_avatar.session.stored import Held, StoredSession
from ditto_avatar.session.tasks import OwnTasks
from ditto_avatar.session.writer import Writer
from ditto_avatar.transport.viewers import Viewers
from ditto_avatar.types import Language

# A page that reloads, or a program that asks every few seconds, is still there.
_STILL_THERE_S = 10.0


@dataclass(slots=True)
class Context:
    """Hold what a session and its turns share. Belongs to the event loop."""

    held: Held
    address: str
    """Where the person came from, as limits count it."""
    grant: Grant | None
    avatar: Avatar
    """The presenter of the next turn."""
    language: Language
    """The language of the next turn."""
    conversation: Conversation
    viewers: Viewers
    writer: Writer
    tasks: OwnTasks
    idle: IdlePosition
    loudspeaker: Loudspeaker
    clock: Clock
    used_at: float
    """When somebody last did something with the session, in seconds of the clock."""
    voices: tuple[str, ...] = ()
    """Ids of voices that a person chose instead of the presenter's."""

    @property
    def session_id(self) -> str:
        """The id of the session."""
        return self.held.session_id

    def use(self) -> float:
        """Note that the session is in use; return the time."""
        self.used_at = self.clock.now()
        return self.used_at

    def watched(self) -> bool:
        """Return whether somebody watches, or was there a moment ago."""
        return len(self.viewers) > 0 or self.clock.now() - self.used_at < _STILL_THERE_S

    @classmethod
    def open(
        cls, stored: StoredSession, services: Services, address: str, lost: Callable[[], object]
    ) -> Context:
        """Make the context of a session from what is stored of it; `lost` is called when another
        server turns out to have it. Raises `NotFound` for a presenter that is not there."""
        clock = services.clock
        return cls(
            stored.held,
            address,
            stored.grant,
            services.find_avatar(stored.avatar, key_of(stored.grant)),
            Language(stored.language),
            Conversation(stored.turns),
            Viewers(),
            Writer(clock, lost),
            OwnTasks(),
            IdlePosition(clock),
            Loudspeaker(clock),
            clock,
            clock.now(),
        )
