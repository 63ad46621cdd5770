"""Choose the presenter, the language and the voices of a session's next turns."""

from __future__ import annotations

from collections.abc import Callable

from ditto_avatar.session.command_lock import CommandLock
from ditto_avatar.session.context import Context
from ditto_avatar.session.grant import Allowance, key_of
from ditto_avatar.session.record import SessionRecord
from ditto_avatar.session.services import Services
from ditto_avatar.transport import events
from ditto_avatar.types import Language


class Choices:
    """Store what a person chooses, then send it to all viewers.

    A choice that cannot be stored changes nothing. Every method raises `SessionEnded`,
    `SessionMoved` and `ShuttingDown` for a session that takes no commands. Cancelling a caller is
    safe: the choice is made all the same.
    """

    def __init__(
        self,
        context: Context,
        services: Services,
        record: SessionRecord,
        lock: CommandLock,
        allowance: Allowance,
    ) -> None:
        self._context = context
        self._services = services
        self._record = record
        self._lock = lock
        self._allowance = allowance

    async def avatar(self, name: str) -> None:
        """Take another presenter from the next turn on. Raises `NotFound`, `Forbidden` and
        `StorageFailed`."""
        self._allowance.check_avatar(name)
        avatar = self._services.find_avatar(name, key_of(self._context.grant))

        def select() -> events.Event:
            self._context.avatar = avatar
            self._context.idle.report(0)
            return events.AvatarSelected(avatar)

        await self._context.tasks.finish(self._choose(select, lambda: {"avatar": name}))

    async def language(self, language: Language) -> None:
        """Speak another language from the next turn on. Raises `StorageFailed`."""

        def select() -> events.Event:
            self._context.language = language
            return events.LanguageSelected(language)

        def changes() -> dict[str, str]:
            # What is chosen again is sent again, and costs no write.
            return {} if language is self._context.language else {"language": language.value}

        await self._context.tasks.finish(self._choose(select, changes))

    def voices(self, voices: tuple[str, ...]) -> None:
        """Speak with these voices from the next turn on, one for each language, instead of the
        presenter's. The choice is not stored."""
        self._lock.check()
        self._context.voices = voices
        self._context.viewers.tell(events.VoiceSelected(voices))

    async def _choose(
        self, select: Callable[[], events.Event], changes: Callable[[], dict[str, str]]
    ) -> None:
        """Store `changes`, which are found under the lock, then `select`."""
        async with self._lock.entered():
            self._context.use()
            if changed := changes():
                await self._record.change(**changed)
            self._context.viewers.tell(select())
