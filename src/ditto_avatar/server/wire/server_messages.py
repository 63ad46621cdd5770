"""The messages that the server sends, as a page reads them.

They are made out of `transport.events` by `encoding.encode`; a test holds both together. Their
docstrings are the reference in `docs/protocol-messages.md` (`make protocol`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ditto_avatar.server.wire.base import LiveMessage, LoggedMessage, example
from ditto_avatar.server.wire.content import (
    EXAMPLE_AVATAR,
    EXAMPLE_TURN,
    AvatarOut,
    EntryOut,
    NoticeShown,
    RtcOut,
)
from ditto_avatar.server.wire.segment_messages import (
    SegmentData,
    SegmentPlaced,
    SegmentStarted,
    VideoReady,
)
from ditto_avatar.types import AiLabel, Language

Reason = Literal["user", "error", "busy", "idle", "operator", "over", "shutdown"]


class Notice(LoggedMessage):
    """Tells something worth knowing: another engine took over, a limit was reached."""

    model_config = example(
        type="notice", seq=31, code="fallback", message="The voice has changed for now."
    )

    type: Literal["notice"]
    code: str
    message: str
    """A whole sentence in the session's language. The reason is in the server's log."""


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
        avatar=EXAMPLE_AVATAR,
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
        turn=EXAMPLE_TURN,
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

    model_config = example(type="queue.position", turn=EXAMPLE_TURN, position=3)

    type: Literal["queue.position"]
    turn: str
    position: int


class TextDelta(LoggedMessage):
    """Brings the next words of the answer, without tags or markup."""

    model_config = example(
        type="text.delta", seq=2, turn=EXAMPLE_TURN, generation=1, text="We open at nine. "
    )

    type: Literal["text.delta"]
    turn: str
    generation: int
    text: str


class RtcAnswer(LiveMessage):
    """Answers `rtc.offer`."""

    model_config = example(type="rtc.answer", sdp="v=0…")

    type: Literal["rtc.answer"]
    sdp: str


class TurnFinished(LoggedMessage):
    """Ends an answer that is complete; by then it is stored."""

    model_config = example(
        type="turn.finished",
        seq=6,
        turn=EXAMPLE_TURN,
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
        turn=EXAMPLE_TURN,
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

    model_config = example(
        type="turn.interrupted", seq=9, turn=EXAMPLE_TURN, generation=1, reason="user"
    )

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

    model_config = example(type="avatar.selected", seq=10, avatar=EXAMPLE_AVATAR)

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
