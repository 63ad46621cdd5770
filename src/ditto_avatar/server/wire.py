"""The messages of the WebSocket and of REST, as `docs/protocol.md` describes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ditto_avatar.dialogue.base import Role
from ditto_avatar.dialogue.cleaning import joined_halves
from ditto_avatar.errors import InvalidInput
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.playback import PlaybackState
from ditto_avatar.transport.events import Event, HistoryEntry
from ditto_avatar.transport.outbox import NumberedEvent
from ditto_avatar.types import FRAME_RATE_HZ, Language

_LONGEST_ID = 64
# What is shown of a name or a value that was sent.
_SHOWN_CHARACTERS = 64
_LONGEST_PROBLEM = 300

Id = Annotated[str, Field(min_length=1, max_length=_LONGEST_ID)]
IdleFrame = Annotated[float, Field(ge=0, le=100_000)]
Join = Annotated[str, Field(min_length=1, max_length=16_384)]
Origin = Annotated[str, Field(max_length=256, pattern=r"^https?://[^/\s,@]+$")]


class Incoming(BaseModel):
    """Base of what clients send: unknown fields are an error, so that a typing mistake is seen."""

    # Infinity and NaN are no JSON: they could not be sent back.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PlaybackMode(StrEnum):
    """What a page can play."""

    STREAM = "stream"
    CLIPS = "clips"


class Hello(Incoming):
    type: Literal["hello"]
    session: Id | None = None
    token: Annotated[str, Field(max_length=128)] | None = None
    after: Annotated[int, Field(ge=0)] | None = None
    avatar: Id | None = None
    language: Language | None = None
    playback: PlaybackMode = PlaybackMode.STREAM
    join: Join | None = None


class UserText(Incoming):
    type: Literal["user.text"]
    text: str
    id: Id | None = None
    idle_frame: IdleFrame | None = None


class Say(Incoming):
    type: Literal["say"]
    text: str
    id: Id | None = None
    idle_frame: IdleFrame | None = None


class Interrupt(Incoming):
    type: Literal["interrupt"]


class AvatarSelect(Incoming):
    type: Literal["avatar.select"]
    avatar: Id


class LanguageSelect(Incoming):
    type: Literal["language.select"]
    language: Language


class Playback(Incoming):
    type: Literal["playback"]
    segment: Id
    state: PlaybackState
    media_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0
    drift_ms: Annotated[float, Field(ge=-60_000, le=60_000)] | None = None
    since_text_ms: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    idle_frame: IdleFrame | None = None


class AudioStart(Incoming):
    type: Literal["audio.start"]
    mode: Literal["push_to_talk", "hands_free"] = "push_to_talk"
    idle_frame: IdleFrame | None = None


class AudioStop(Incoming):
    type: Literal["audio.stop"]


class Ping(Incoming):
    type: Literal["ping"]
    t: float


ClientMessage = Annotated[
    Hello
    | UserText
    | Say
    | Interrupt
    | AvatarSelect
    | LanguageSelect
    | Playback
    | AudioStart
    | AudioStop
    | Ping,
    Field(discriminator="type"),
]
_CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


def parse(text: str) -> ClientMessage:
    """Read a client's message. Raises `InvalidInput` with what is wrong with it."""
    try:
        return _CLIENT_MESSAGES.validate_json(text)
    except ValidationError as error:
        problem = first_problem(error)
    # Without its cause, which holds the whole message.
    raise InvalidInput(f"The message is malformed: {problem}.")


def id_in(text: str) -> str | None:
    """Find the `id` in a message that `parse` refuses, so that its error can name it; None if it
    has none."""
    try:
        # Takes what `parse` does not: half an emoji, for instance.
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST_ID else None


def first_problem(error: ValidationError) -> str:
    """Tell the first of the problems that pydantic found, in one short line."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place, text = place_of(problem["loc"]), problem["msg"][:_LONGEST_PROBLEM]
    return f"{place}: {text}" if place else text


def place_of(location: Sequence[int | str]) -> str:
    """Name where in a message or a body a problem is; long names, which were sent, are cut."""
    return ".".join(str(part)[:_SHOWN_CHARACTERS] for part in location)


def encode(numbered: NumberedEvent) -> str:
    """A server event as a JSON text frame."""
    event = numbered.event
    message: dict[str, Any] = {"type": event.type}
    if numbered.seq is not None:
        message["seq"] = numbered.seq
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, bytes):
            message["bytes"] = len(value)
        elif isinstance(value, Clip):
            message.update(clip_out(value))
        else:
            message[field.name] = value
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), default=_plain)
    # A half of a character from an old history would end every connection that reads it.
    return joined_halves(text)


def _plain(value: Any) -> Any:
    """What the JSON of an event is made of; URLs are made here and nowhere else."""
    match value:
        case Avatar():
            return avatar_out(value).model_dump()
        case HistoryEntry():
            return entry_out(value)
        case Event():
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case _:
            return dict(value)


def clip_out(clip: Clip) -> dict[str, Any]:
    """A clip with the URLs of its files."""
    return {
        "index": clip.index,
        "text": clip.text,
        "emotion": clip.emotion,
        "video_url": f"/video/{clip.name}.mp4",
        "audio_url": f"/audio/{clip.name}.wav",
        "duration": clip.duration,
        "first_frame": clip.first_frame,
        "last_frame": clip.last_frame,
    }


def entry_out(entry: HistoryEntry) -> dict[str, Any]:
    """A text of the history; an answer with its clips, a question with what its page called it."""
    shown: dict[str, Any] = {"role": entry.role, "text": entry.text, "turn": entry.turn}
    shown["clips"] = [clip_out(clip) for clip in entry.clips]
    if entry.role == Role.ASSISTANT:
        shown["heard"] = entry.heard
    elif entry.id is not None:
        shown["id"] = entry.id
    return shown


# REST


class NewSession(Incoming):
    avatar: Id | None = None
    language: Language | None = None


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


class AvatarOut(BaseModel):
    """A presenter as the page shows it."""

    name: str
    display_name: dict[str, str]
    description: dict[str, str]
    license: str
    provenance: str
    consent: str
    poster_url: str
    idle_url: str
    width: int
    height: int
    fps: int
    frames: int


def avatar_out(avatar: Avatar) -> AvatarOut:
    """A presenter with the URLs of its files."""
    about = avatar.about
    return AvatarOut(
        name=avatar.name,
        display_name=dict(about.display_name),
        description=dict(about.description),
        license=about.license,
        provenance=about.provenance,
        consent=about.consent,
        poster_url=f"/avatars/{avatar.name}/poster.webp",
        idle_url=f"/avatars/{avatar.name}/idle.mp4",
        width=avatar.width,
        height=avatar.height,
        fps=FRAME_RATE_HZ,
        frames=avatar.frame_count,
    )


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
    history: list[dict[str, Any]]


class TurnAccepted(BaseModel):
    turn: str


class TurnOut(BaseModel):
    """How far a turn is."""

    turn: str
    state: str
    text: str
    answer: str
    clips: list[dict[str, Any]]
    timings: dict[str, float]


class VoiceOut(BaseModel):
    id: str
    language: Language
    engine: str
    label: str


# The admin interface


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


class ErrorDetail(BaseModel):
    code: str
    message: str


class ErrorOut(BaseModel):
    """Every error has this form."""

    error: ErrorDetail
