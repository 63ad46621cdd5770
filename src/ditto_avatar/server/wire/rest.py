"""The bodies of REST requests and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ditto_avatar.server.wire.base import Id, IdleFrame, Incoming, Origin
from ditto_avatar.server.wire.content import AvatarOut, ClipOut, EntryOut
from ditto_avatar.types import Language


class NewSession(Incoming):
    avatar: Id | None = None
    language: Language | None = None
    cutout: bool = False
    """Whether the presenter is to be shown without its background, where it can be."""


class NewToken(Incoming):
    """What a join token allows."""

    expires_s: Annotated[int, Field(ge=1, le=86_400)] = 300
    """Seconds within which it opens a session; the session may last longer."""
    uses: Annotated[int, Field(ge=1, le=1_000)] = 1
    """How many sessions it opens."""
    session_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3_600
    """Seconds that each of these sessions may last, from its opening."""
    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=16)] | None = None
    """Pages that may use it, as https://example.org; without it, those that may connect anyway."""
    avatars: Annotated[tuple[Id, ...], Field(min_length=1, max_length=64)] | None = None
    """Presenters of the session; without it, all."""
    language: Language | None = None
    """Language in which the session begins."""
    turns: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Turns that the session may have in all."""
    turns_per_minute: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Turns that the session may begin in a minute, within what the server allows anyway."""


class TokenOut(BaseModel):
    """A join token: `join` is what a page sends in its hello."""

    join: str
    expires_at: float


class NewTurn(Incoming):
    text: str
    id: Id | None = None
    idle_frame: IdleFrame | None = None


class NewFace(Incoming):
    """What the form says that brings a face."""

    consent: Literal["self", "written"]
    """Whether it is the visitor's own face, or that of a person who consented in writing."""
    person: Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
    """The name of the person shown."""
    terms: Literal["accepted"]
    """That the page's terms were accepted."""


class SessionOut(BaseModel):
    """A session just opened. The token is shown this once."""

    session: str
    token: str
    avatar: AvatarOut
    language: Language


class HistoryOut(BaseModel):
    """A session with what has been said in it."""

    session: str
    avatar: AvatarOut
    language: Language
    history: list[EntryOut]


class TurnAccepted(BaseModel):
    turn: str


class TurnOut(BaseModel):
    """How far a turn is."""

    turn: str
    state: str
    text: str
    answer: str
    clips: list[ClipOut]
    timings: dict[str, float]


class VoiceOut(BaseModel):
    id: str
    language: Language
    engine: str
    label: str


class WantedVoice(Incoming):
    """Asks for a voice to be downloaded."""

    accept_license: bool = False
    """The person has seen its licence and accepts it; some voices ask for that."""


class VoiceOffer(BaseModel):
    """A voice that can be downloaded, and how far it is."""

    name: str
    label: dict[Language, str]
    languages: list[Language]
    megabytes: float
    license: str
    license_url: str
    asks_license: bool
    """Whether it is downloaded only when its licence is accepted."""
    forbids: dict[Language, str]
    """What its licence does not allow; empty texts for those that allow everything."""
    state: Literal["absent", "loading", "trying", "installed", "slow", "failed"]
    """`slow`: it is there and does not speak, for this machine is too slow for it."""
    share: float
    """How much of it has arrived, 0 to 1."""
    message: str
    """Why it failed."""


class VoiceOffers(BaseModel):
    """The voices that can be downloaded, and the engine that speaks each language now."""

    may_download: bool
    speaking: dict[Language, str]
    offers: list[VoiceOffer]


class ErrorDetail(BaseModel):
    code: str
    message: str


class ErrorOut(BaseModel):
    """Every error has this form."""

    error: ErrorDetail
