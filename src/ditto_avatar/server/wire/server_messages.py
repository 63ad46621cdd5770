"""The messages that the server sends, as a page reads them.

They are made out of `transport.events` by `encoding.encode`; a test holds both together. Their
docstrings are the reference in `docs/protocol-messages.md` (`make protocol`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ditto_avatar.server.wire.base import Outgoing, example
from ditto_avatar.types import AiLabel, Emotion, Language

Role = Literal["user", "assistant"]
Reason = Literal["user", "error", "busy", "idle", "operator", "over", "shutdown"]

_AVATAR = {
    "name": "mina",
    "display_name": {"en": "Mina", "ko": "미나"},
    "description": {"en": "A guide.", "ko": "안내원입니다."},
    "license": "CC0-1.0",
    "provenance": "Rendered.",
    "consent": "Not a real person.",
    "poster_url": "/avatars/mina/poster.webp",
    "idle_url": "/avatars/mina/idle.mp4",
    "width": 512,
    "height": 512,
    "fps": 25,
    "frames": 250,
    "alpha": False,
    "cutout": "mina.cutout",
}
_TURN = "0c9be2f4a7d14e21"
_SEGMENT = "5f3a9c0d11e2b470"
_CLIP = {
    "index": 0,
    "text": "We open at nine.",
    "emotion": "happy",
    "video_url": "/video/kq0fVw3bSgYJ1mZc5dT8xA.mp4",
    "audio_url": "/audio/kq0fVw3bSgYJ1mZc5dT8xA.wav",
    "duration": 1.64,
    "first_frame": 114,
    "last_frame": 154,
}


class AvatarOut(Outgoing):
    """A presenter as the page shows it."""

    name: str
    """The name by which it is chosen."""
    display_name: dict[str, str]
    """Its name for people, by language."""
    description: dict[str, str]
    """A sentence about it, by language."""
    license: str
    provenance: str
    """Where the face comes from."""
    consent: str
    """Who agreed to its use."""
    poster_url: str
    idle_url: str
    """The film of the idle loop."""
    width: int
    height: int
    fps: int
    frames: int
    """Frames of the idle loop."""
    alpha: bool
    """Whether its films are packed pictures without a background: twice as high, the colours above,
    multiplied by the opacity, and the opacity below."""
    cutout: str | None
    """The name under which it is shown without its background; null where it cannot be."""


class ClipOut(Outgoing):
    """A finished segment that can be replayed."""

    index: int
    """Its place in the turn, from 0."""
    text: str
    emotion: Emotion
    video_url: str
    audio_url: str
    duration: float
    """Seconds."""
    first_frame: int
    """The idle frame that the first picture continues."""
    last_frame: int
    """The idle frame of the last picture: the loop goes on at the next one."""


class EntryOut(Outgoing):
    """A text of the conversation."""

    role: Role
    text: str
    turn: str
    clips: list[ClipOut]
    heard: str | None = None
    """Of an answer: how much of it was heard when it was interrupted; null: all of it."""
    id: str | None = None
    """Of a question: what its page called it, if it did."""


class IceServerOut(Outgoing):
    """A STUN or TURN server, as `RTCPeerConnection` takes it."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class RtcOut(Outgoing):
    """What a page needs before it offers WebRTC."""

    ice_servers: list[IceServerOut]
    expires_in: int
    """Seconds for which the passwords are good."""
    microphone: bool
    """Whether the microphone is to be sent this way as well."""


class ServerMessage(Outgoing):
    """Base of all messages from the server."""


class LoggedMessage(ServerMessage):
    """Base of the messages that are numbered, and sent again after a reconnect."""

    seq: int | None = None
    """Counts up by one in a session. Missing where one page alone is told how an old turn of its
    stands."""


class LiveMessage(ServerMessage):
    """Base of the messages that are sent once, and not again after a reconnect."""


class Notice(LoggedMessage):
    """Tells something worth knowing: another engine took over, a limit was reached."""

    model_config = example(
        type="notice", seq=31, code="fallback", message="The voice has changed for now."
    )

    type: Literal["notice"]
    code: str
    message: str
    """A whole sentence in the session's language. The reason is in the server's log."""


class NoticeShown(Outgoing):
    """A notice about the server, for the beginning."""

    code: str
    message: str


class SessionReady(LiveMessage):
    """Answers `hello`: the session, and what has been said in it.

    After a reconnect with `gap` false the missed events follow, and the page keeps what it shows.
    With `gap` true it begins anew from `history`.
    """

    model_config = example(
        type="session.ready",
        session="b7c1d8f3e2a94c60",
        epoch=1,
        token="q5J9…",
        resumed=False,
        gap=False,
        seq=0,
        avatar=_AVATAR,
        avatars=None,
        language="en",
        history=[],
        running_turn=None,
        notices=[],
        transcription="browser",
        ai_label="top",
        rtc={"ice_servers": [], "expires_in": 3600, "microphone": False},
    )

    type: Literal["session.ready"]
    session: str
    epoch: int
    """Counts the servers, and the starts of a server, that have held the session; `seq` belongs to
    it. `hello` brings both back."""
    token: str
    """The session's own token: all that is needed to come back."""
    resumed: bool
    """Whether this is the session that `hello` named."""
    gap: bool
    """Whether events were missed that are no longer there to be sent again."""
    seq: int
    """The last event that `history` includes."""
    avatar: AvatarOut
    avatars: list[str] | None
    """Presenters that may be chosen; null: all."""
    language: Language
    history: list[EntryOut]
    """Of a running turn, the text so far. An answer that a killed server left unfinished is there
    as far as its clips were stored, with `heard`. A page whose question is there and was never
    confirmed sends it again."""
    running_turn: str | None
    """The turn whose `turn.finished` or `turn.interrupted` is still to come. A page that waits for
    another one waits in vain."""
    notices: list[NoticeShown]
    transcription: Literal["server", "browser"]
    """Who turns speech into text."""
    ai_label: AiLabel
    """Where the page says that the presenter is made by AI. `off` where its surroundings say so."""
    rtc: RtcOut | None = None
    """What is needed for WebRTC; null where the server has none."""


class TurnStarted(LoggedMessage):
    """Accepts a question or a text to say; by then it is stored.

    Told again for the turn in progress, it changes nothing.
    """

    model_config = example(
        type="turn.started",
        seq=1,
        turn=_TURN,
        generation=1,
        kind="message",
        text="When do you open?",
        id="q-17",
    )

    type: Literal["turn.started"]
    turn: str
    generation: int
    """Counts the turns of a session. What carries an older one than the last `turn.started` or
    `turn.interrupted` is to be dropped."""
    kind: Literal["message", "say"]
    text: str
    id: str | None
    """What the page called its message."""


class QueuePosition(LiveMessage):
    """Tells the place in the line of turns that wait to speak; 0 when the turn begins."""

    model_config = example(type="queue.position", turn=_TURN, position=3)

    type: Literal["queue.position"]
    turn: str
    position: int


class TextDelta(LoggedMessage):
    """Brings the next words of the answer, without tags or markup."""

    model_config = example(
        type="text.delta", seq=2, turn=_TURN, generation=1, text="We open at nine. "
    )

    type: Literal["text.delta"]
    turn: str
    generation: int
    text: str


class SegmentStarted(LoggedMessage):
    """Announces the media of a sentence, as soon as its first picture is drawn."""

    model_config = example(
        type="segment.started",
        seq=3,
        turn=_TURN,
        generation=1,
        segment=_SEGMENT,
        index=0,
        text="We open at nine.",
        emotion="happy",
        mime='video/mp4; codecs="avc1.42C01F, mp4a.40.2"',
        first_frame=114,
        transport="stream",
    )

    type: Literal["segment.started"]
    turn: str
    generation: int
    segment: str
    index: int
    """The segment's place in the turn, from 0."""
    text: str
    emotion: Emotion
    mime: str
    """For `MediaSource.addSourceBuffer`."""
    first_frame: int
    """The idle frame that the first picture continues."""
    transport: Literal["stream", "rtc"] = "stream"
    """`stream`: fragments follow. `rtc`: it comes over this page's WebRTC, see `segment.placed`;
    no `segment.data` follows, unless the page says that WebRTC is down. Another page of the same
    session may get it the other way."""


class SegmentPlaced(LiveMessage):
    """Tells where a segment is in the RTP time of the picture: when it begins, again when pictures
    were missing and the rest has moved, and when its length is known.

    Frame `frame` has the RTP timestamp `rtp`, and each one after it 3,600 more, modulo 2³².
    """

    model_config = example(
        type="segment.placed", segment=_SEGMENT, rtp=3_141_592_653, frame=0, frames=None
    )

    type: Literal["segment.placed"]
    segment: str
    rtp: int
    frame: int
    frames: int | None
    """How many frames the segment has; null as long as it is drawn."""


class RtcAnswer(LiveMessage):
    """Answers `rtc.offer`."""

    model_config = example(type="rtc.answer", sdp="v=0…")

    type: Literal["rtc.answer"]
    sdp: str


class SegmentData(LiveMessage):
    """Announces a fragment: the next binary frame, unless `bytes` is 0.

    Fragments are not sent again after a reconnect: the clip comes as `video_ready`.
    """

    model_config = example(
        type="segment.data",
        generation=1,
        segment=_SEGMENT,
        index=0,
        last=False,
        dropped=False,
        bytes=9184,
    )

    type: Literal["segment.data"]
    generation: int
    segment: str
    index: int
    """The fragment's place in the segment. Number 0 carries the header as well."""
    last: bool
    dropped: bool
    """Tells a viewer that was too slow: the rest of this segment comes as a clip only."""
    bytes: int


class VideoReady(LoggedMessage, ClipOut):
    """Tells that a segment can be replayed as a clip; the clip's fields stand beside the others."""

    model_config = example(
        type="video_ready", seq=5, turn=_TURN, generation=1, segment=_SEGMENT, **_CLIP
    )

    type: Literal["video_ready"]
    turn: str
    generation: int
    segment: str


class TurnFinished(LoggedMessage):
    """Ends an answer that is complete; by then it is stored."""

    model_config = example(
        type="turn.finished",
        seq=6,
        turn=_TURN,
        generation=1,
        text="We open at nine.",
        timings={"first_token": 1.2, "first_fragment": 131.0, "finished": 402.5},
    )

    type: Literal["turn.finished"]
    turn: str
    generation: int
    text: str
    timings: dict[str, float]
    """Milliseconds since the question came in: `first_token`, `first_sentence`, `first_audio`,
    `first_frame`, `first_fragment`, `first_painted` (if a page has reported it), `finished`."""


class TurnTimings(LiveMessage):
    """Brings the timings again, with what pages reported late, once the answer was heard out.

    Not sent for an answer that was interrupted.
    """

    model_config = example(
        type="turn.timings",
        turn=_TURN,
        generation=1,
        timings={"first_fragment": 131.0, "first_painted": 254.0, "finished": 402.5},
        drift_ms=4.0,
    )

    type: Literal["turn.timings"]
    turn: str
    generation: int
    timings: dict[str, float]
    drift_ms: float | None
    """The largest distance between sound and picture that a page has measured; null: none has."""


class TurnInterrupted(LoggedMessage):
    """Ends an answer that was stopped: what is left of it is to be dropped."""

    model_config = example(type="turn.interrupted", seq=9, turn=_TURN, generation=1, reason="user")

    type: Literal["turn.interrupted"]
    turn: str
    generation: int
    reason: Reason
    """`user`: a viewer interrupted. `error`: it failed; an `error` has been sent. `busy`: nobody
    watched and others waited. `idle`: the session ended unused. `operator`: somebody who runs the
    server ended it. `over`: the time that its invitation allows is over. `shutdown`: the server
    stops."""


class AvatarSelected(LoggedMessage):
    """Tells every viewer of a session which presenter it has from the next turn on."""

    model_config = example(type="avatar.selected", seq=10, avatar=_AVATAR)

    type: Literal["avatar.selected"]
    avatar: AvatarOut


class LanguageSelected(LoggedMessage):
    """Tells every viewer of a session which language it has."""

    model_config = example(type="language.selected", seq=11, language="ko")

    type: Literal["language.selected"]
    language: Language


class VoiceSelected(LoggedMessage):
    """Tells every viewer of a session which voices were chosen for it."""

    model_config = example(type="voice.selected", seq=12, voices=["en_US-kristin-medium"])

    type: Literal["voice.selected"]
    voices: tuple[str, ...]


class Transcript(LiveMessage):
    """Tells what the microphone understood."""

    model_config = example(type="transcript", text="When do you open?", final=True)

    type: Literal["transcript"]
    text: str
    final: bool


class ErrorMessage(LiveMessage):
    """Tells one thing that went wrong; the session lives on.

    One that names neither a message nor a turn says nothing about messages that wait.
    """

    model_config = example(
        type="error",
        code="invalid_input",
        message="The text is empty.",
        turn=None,
        id="q-18",
    )

    type: Literal["error"]
    code: str
    """Stable, for programs."""
    message: str
    """For people."""
    turn: str | None
    """The turn that failed."""
    id: str | None
    """The message that could not be done."""


class Pong(LiveMessage):
    """Answers `ping`."""

    model_config = example(type="pong", t=1732612345678)

    type: Literal["pong"]
    t: float
    """The `t` of the ping."""


AnyServerMessage = Annotated[
    SessionReady
    | TurnStarted
    | QueuePosition
    | TextDelta
    | SegmentStarted
    | SegmentData
    | SegmentPlaced
    | RtcAnswer
    | VideoReady
    | TurnFinished
    | TurnTimings
    | TurnInterrupted
    | AvatarSelected
    | LanguageSelected
    | VoiceSelected
    | Transcript
    | Notice
    | ErrorMessage
    | Pong,
    Field(discriminator="type"),
]
SERVER_MESSAGES: TypeAdapter[AnyServerMessage] = TypeAdapter(AnyServerMessage)
