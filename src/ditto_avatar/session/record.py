"""Store one session."""

from __future__ import annotations

import secrets

from ditto_avatar.session.context import Context
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.store import Store
from ditto_avatar.session.stored import StoredSession, StoredTurn, hash_token


class SessionRecord:
    """Store a session, its turns and its choices, through the session's writer.

    A new session is stored with its first turn, or with its first choice. Every method raises
    `StorageFailed` or `StorageFull`; run it where nobody cancels it.
    """

    def __init__(
        self, context: Context, store: Store, token: str, grant: Grant | None, *, is_new: bool
    ) -> None:
        self._context = context
        self._store = store
        self._token_hash = hash_token(token)
        self._grant = grant
        self._is_new = is_new

    @property
    def is_new(self) -> bool:
        """Whether nothing was stored yet."""
        return self._is_new

    async def keep(self) -> None:
        """Store the session, if it is new."""
        if self._is_new:
            await self._context.writer.run(lambda: self._store.add_session(self._row()))
            self._is_new = False

    async def add_turn(self, kind: str, text: str, client_id: str | None) -> StoredTurn:
        """Store a turn that was accepted; return it with its number. Raises `InvalidInput` and
        `SessionEnded` like `Store.add_turn`."""
        context = self._context
        asked = StoredTurn(secrets.token_hex(8), 0, kind, text, client_id=client_id)
        opening = self._row() if self._is_new else None
        turn = await context.writer.run(lambda: self._store.add_turn(context.held, asked, opening))
        self._is_new = False
        context.conversation.add(turn)
        return turn

    async def change(self, **chosen: str) -> None:
        """Store another `avatar` or `language`."""
        await self._context.writer.run(lambda: self._change(chosen))

    async def _change(self, chosen: dict[str, str]) -> None:
        if self._is_new:
            # Nothing else is stored yet, so the change is part of the first write.
            await self._store.add_session(self._row(**chosen))
            self._is_new = False
        else:
            await self._store.update_session(self._context.held, **chosen)

    def _row(self, avatar: str = "", language: str = "") -> StoredSession:
        context = self._context
        return StoredSession(
            context.session_id,
            self._token_hash,
            avatar or context.avatar.name,
            language or context.language.value,
            grant=self._grant,
        )
