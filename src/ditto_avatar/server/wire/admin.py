"""The bodies of the admin interface."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from ditto_avatar.types import Language


class ServerFigures(BaseModel):
    """How full the server is."""

    draining: bool
    sessions: int
    viewers: int
    speaking: int
    waiting: int


class DrainOut(BaseModel):
    draining: bool


class SessionFigures(BaseModel):
    """A session without a word of what was said in it."""

    session: str
    avatar: str
    language: Language
    created_at: datetime | None
    used_at: datetime
    turns: int
    state: str
    viewers: int
    visitor: str | None
    """Stands for the visitor's address, which it does not tell: the same for the same address."""
    key: str | None


class SessionList(BaseModel):
    sessions: list[SessionFigures]
    more: bool


class TurnFigures(BaseModel):
    """A turn without its words."""

    turn: str
    kind: str
    state: str
    reason: str | None
    created_at: datetime
    timings: dict[str, float]


class SessionDetails(SessionFigures):
    """A session with its newest turns."""

    timeline: list[TurnFigures]
