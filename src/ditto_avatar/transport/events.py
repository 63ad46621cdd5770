"""Define the events that a session sends to its viewers; `docs/protocol.md` has their form.

The class attribute `type` is the name on the wire, the fields are its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.types import AiLabel, Emotion, Language


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One text of a conversation. `id` is what a page called its message, `heard` how much of an
    interrupted answer was heard (None: all of it)."""

    role: str
    text: str
    turn: str
    id: str | None = None
    heard: str | None = None
    clips: tuple[Clip, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `logged` ones are numbered and repeated after a reconnect."""

    type: ClassVar[str]
    logged: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TurnStarted(Event):
    """A turn was accepted and is stored."""

    type: ClassVar[str] = "turn.started"
    turn: str
    generation: int
    kind: str
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class QueuePosition(Event):
    """The turn waits at this place in line."""

    type: ClassVar[str] = "queue.position"
    logged: ClassVar[bool] = False
    turn: str
    position: int


@dataclass(frozen=True, slots=True)
class TextDelta(Event):
    """The next words of the answer."""

    type: ClassVar[str] = "text.delta"
    turn: str
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class SegmentStarted(Event):
    """The media of a sentence will come."""

    type: ClassVar[str] = "segment.started"
    turn: str
    generation: int
    segment: str
    index: int
    text: str
    emotion: Emotion
    mime: str
    first_frame: int
    transport: str = "stream"


@dataclass(frozen=True, slots=True)
class SegmentLive(Event):
    """The segment can be sent picture by picture. Never on the wire: a viewer's WebRTC takes it,
    and others have no use for it."""

    logged: ClassVar[bool] = False
    generation: int
    packets: SegmentPackets


@dataclass(frozen=True, slots=True)
class SegmentPlaced(Event):
    """Over WebRTC, picture `frame` of the segment has the RTP timestamp `rtp`; `frames` is how many
    there are, None as long as nobody knows."""

    type: ClassVar[str] = "segment.placed"
    logged: ClassVar[bool] = False
    segment: str
    rtp: int
    frame: int
    frames: int | None


@dataclass(frozen=True, slots=True)
class RtcAnswer(Event):
    """The answer to a viewer's offer of WebRTC."""

    type: ClassVar[str] = "rtc.answer"
    logged: ClassVar[bool] = False
    sdp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SegmentData(Event):
    """`data` follows as a binary frame; the text frame before it says its length as `bytes`.
    `dropped` tells a viewer that was too slow: it gets the finished clip instead of the rest."""

    type: ClassVar[str] = "segment.data"
    logged: ClassVar[bool] = False
    generation: int
    segment: str
    index: int
    last: bool
    dropped: bool = False
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class VideoReady(Event):
    """A segment can be replayed; on the wire the fields of `clip` stand beside the others."""

    type: ClassVar[str] = "video_ready"
    turn: str
    generation: int
    segment: str
    clip: Clip


@dataclass(frozen=True, slots=True)
class TurnFinished(Event):
    """The answer is complete and stored."""

    type: ClassVar[str] = "turn.finished"
    turn: str
    generation: int
    text: str
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TurnTimings(Event):
    """After `TurnFinished`, once the answer was heard out: the timings with what pages reported
    until then, and the largest drift they measured."""

    type: ClassVar[str] = "turn.timings"
    logged: ClassVar[bool] = False
    turn: str
    generation: int
    timings: Mapping[str, float]
    drift_ms: float | None


@dataclass(frozen=True, slots=True)
class TurnInterrupted(Event):
    """The answer was stopped."""

    type: ClassVar[str] = "turn.interrupted"
    turn: str
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class AvatarSelected(Event):
    """The session has another avatar from the next turn on."""

    type: ClassVar[str] = "avatar.selected"
    avatar: Avatar


@dataclass(frozen=True, slots=True)
class LanguageSelected(Event):
    """The session has another language from the next turn on."""

    type: ClassVar[str] = "language.selected"
    language: Language


@dataclass(frozen=True, slots=True)
class VoiceSelected(Event):
    """Other voices speak from the next turn on."""

    type: ClassVar[str] = "voice.selected"
    voices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transcript(Event):
    """The microphone understood this."""

    type: ClassVar[str] = "transcript"
    logged: ClassVar[bool] = False
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A sentence that is worth knowing and no error."""

    type: ClassVar[str] = "notice"
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Failure(Event):
    """One thing went wrong; the session goes on."""

    type: ClassVar[str] = "error"
    logged: ClassVar[bool] = False
    code: str
    message: str
    turn: str | None = None
    id: str | None = None
    """The id of the message that this answers, where it had one."""


@dataclass(frozen=True, slots=True)
class SessionReady(Event):
    """The greeting of a viewer: the session, and what was said in it."""

    type: ClassVar[str] = "session.ready"
    logged: ClassVar[bool] = False
    session: str
    epoch: int
    token: str
    resumed: bool
    gap: bool
    seq: int
    avatar: Avatar
    language: Language
    history: Sequence[HistoryEntry]
    running_turn: str | None
    notices: Sequence[Notice] = ()
    transcription: str = "browser"
    ai_label: AiLabel = AiLabel.TOP
    avatars: Sequence[str] | None = None
    """Presenters that may be chosen; None for all."""
    rtc: Mapping[str, Any] | None = None
    """What a page needs for WebRTC; None where there is none."""


@dataclass(frozen=True, slots=True)
class Pong(Event):
    """The answer to a ping."""

    type: ClassVar[str] = "pong"
    logged: ClassVar[bool] = False
    t: float
