"""Define the values of a stored conversation, and turn them into rows and back."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.grant import Grant
from ditto_avatar.session.schema import ClipRow, SessionRow, TurnRow
from ditto_avatar.types import Emotion

RUNNING, FINISHED, INTERRUPTED = "running", "finished", "interrupted"


@dataclass(frozen=True, slots=True)
class Held:
    """Name a session that this server holds. `epoch` is its fencing token: the database refuses
    what a server writes of a session that another one has taken over."""

    session_id: str
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One turn of a conversation as it is kept."""

    id: str
    generation: int
    kind: str
    text: str
    answer: str = ""
    heard: str | None = None
    state: str = RUNNING
    client_id: str | None = None
    reason: str | None = None
    """Why it was interrupted: `user`, `shutdown`, or the code of the error that ended it."""
    clips: tuple[Clip, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A conversation as it is kept. The token itself is never stored, only its hash."""

    id: str
    token_hash: str
    avatar: str
    language: str
    turns: tuple[StoredTurn, ...] = ()
    grant: Grant | None = None
    closed: bool = False
    """Whether an operator closed it."""
    epoch: int = 1
    """How many times a server has taken it."""

    @property
    def held(self) -> Held:
        """The name that its writes carry."""
        return Held(self.id, self.epoch)

    def accepts(self, token: str) -> bool:
        """Compare `token` with the stored hash, in constant time."""
        return hmac.compare_digest(self.token_hash, hash_token(token))


def hash_token(token: str) -> str:
    """Hash a token for the database. Tokens are random, so a plain digest suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


def session_row(session: StoredSession, owner: str) -> SessionRow:
    """Make the row of a new session that `owner` holds."""
    return SessionRow(
        id=session.id,
        token_hash=session.token_hash,
        avatar=session.avatar,
        language=session.language,
        grant=None if session.grant is None else session.grant.as_record(),
        owner=owner,
        epoch=session.epoch,
    )


def turn_of(row: TurnRow) -> StoredTurn:
    """Read a turn and its clips from their rows."""
    return StoredTurn(
        row.id,
        row.generation,
        row.kind,
        row.text,
        row.answer,
        row.heard,
        row.state,
        row.client_id,
        row.reason,
        tuple(_clip_of(c) for c in row.clips),
    )


def _clip_of(row: ClipRow) -> Clip:
    return Clip(
        row.name,
        row.index,
        row.text,
        Emotion(row.emotion),
        row.duration,
        row.first_frame,
        row.last_frame,
    )
