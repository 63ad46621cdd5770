"""The messages that a page sends, and how they are read.

Their docstrings are the reference in `docs/protocol-messages.md` (`make protocol`).
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ditto_avatar.errors import InvalidInput
from ditto_avatar.server.wire.base import (
    LONGEST_ID,
    Id,
    IdleFrame,
    Incoming,
    Join,
    example,
    first_problem,
)
from ditto_avatar.session.playback import PlaybackState
from ditto_avatar.transport.rtc.sdp import MAX_SDP_CHARACTERS
from ditto_avatar.types import Language

_IDLE_FRAME = "Frame of the idle loop that the page shows now; may be a fraction."


class PlaybackMode(StrEnum):
    """What a page can play."""

    STREAM = "stream"
    CLIPS = "clips"


class Hello(Incoming):
    """Begins a connection: a new session, or an old one with its token.

    The first message, within 10 seconds. Answered by `session.ready`, or by an `error` and a close
    code.
    """

    model_config = example(
        type="hello", avatar="mina", language="en", playback="stream", after=None, epoch=None
    )

    type: Literal["hello"]
    session: Id | None = None
    """The session to come back to."""
    token: Annotated[str, Field(max_length=128)] | None = None
    """The session's token, as `session.ready` brought it."""
    after: Annotated[int, Field(ge=0)] | None = None
    """The last `seq` that the page has seen; later events are sent again."""
    epoch: Annotated[int, Field(ge=0)] | None = None
    """The `epoch` of the `session.ready` before that `seq`. A server that has taken the session
    since then counts anew."""
    avatar: Id | None = None
    """Presenter of a new session. One that does not exist gives way to the server's default."""
    language: Language | None = None
    """Language of a new session."""
    playback: PlaybackMode = PlaybackMode.STREAM
    """Whether the page plays fragments (Media Source Extensions) or whole clips."""
    cutout: bool = False
    """Whether the presenter of a new session is to be shown without its background, where it can
    be."""
    join: Join | None = None
    """A join token, needed for a new session where the server has keys; it is not looked at for a
    session that there is already."""


class UserText(Incoming):
    """Asks a question. An answer in progress is interrupted.

    The same `id` is accepted once. A page that did not see its `turn.started` sends the question
    again and is answered alone, without `seq`: by `turn.started`, and by `turn.finished` (without
    timings) or `turn.interrupted` if the turn is over. A question that a killed server stored and
    never answered, with no later one after it, is taken up again: same turn, same generation, for
    all viewers.
    """

    model_config = example(type="user.text", text="When do you open?", id="q-17", idle_frame=112.4)

    type: Literal["user.text"]
    text: str
    id: Id | None = None
    """The page's own name for this message."""
    idle_frame: Annotated[IdleFrame | None, Field(description=_IDLE_FRAME)] = None


class Say(Incoming):
    """Speaks a text as it is. An answer in progress is interrupted.

    A known `id` is told how its turn stands; it is never spoken again.
    """

    model_config = example(type="say", text="Welcome.", id="s-1", idle_frame=0)

    type: Literal["say"]
    text: str
    id: Id | None = None
    """The page's own name for this message."""
    idle_frame: Annotated[IdleFrame | None, Field(description=_IDLE_FRAME)] = None


class Interrupt(Incoming):
    """Stops the answer in progress; without one, nothing happens."""

    model_config = example(type="interrupt")

    type: Literal["interrupt"]


class AvatarSelect(Incoming):
    """Chooses the presenter from the next turn on. Answered by `avatar.selected`."""

    model_config = example(type="avatar.select", avatar="james")

    type: Literal["avatar.select"]
    avatar: Id
    cutout: bool = False
    """Whether it is to be shown without its background, where it can be."""


class LanguageSelect(Incoming):
    """Chooses the language of the page and of the answers. Answered by `language.selected`."""

    model_config = example(type="language.select", language="ko")

    type: Literal["language.select"]
    language: Language


class VoiceSelect(Incoming):
    """Chooses voices by the ids of `GET /api/voices`, one for each language; an empty list leaves
    the choice to the presenter. Answered by `voice.selected`; a new session has no choice."""

    model_config = example(type="voice.select", voices=["en_US-kristin-medium"])

    type: Literal["voice.select"]
    voices: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=8)]


class Playback(Incoming):
    """Reports how far a segment was seen and heard: at its first painted frame, every second after
    that, and at its end.

    A report never ends an answer: when a stream broke, the same segment goes on as a clip, with
    `painted` or `playing`.
    """

    model_config = example(
        type="playback", segment="5f3a9c0d11e2b470", state="playing", media_ms=1040, drift_ms=4
    )

    type: Literal["playback"]
    segment: Id
    state: PlaybackState
    """`painted`: the first frame is on the screen. `playing`: it goes on. `ended`: heard to its
    end. `dropped`: stopped at `media_ms`, which is what was heard of it; sent before the
    `interrupt` or `user.text` that caused it."""
    media_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0
    """How much of the segment was heard."""
    drift_ms: Annotated[float, Field(ge=-60_000, le=60_000)] | None = None
    """How far the picture is behind the sound."""
    since_text_ms: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    """With `painted`: the time since the question was sent."""
    waited_ms: Annotated[float, Field(ge=0, le=60_000)] = 0
    """With `painted`: for how much of that time the page could have begun, and waited for the idle
    loop to reach the segment's first pose."""
    idle_frame: IdleFrame | None = None
    """With `ended` and `dropped`: where the idle loop is now. Without it, the loop has gone on
    underneath the segment."""


class AudioStart(Incoming):
    """Opens the microphone. Binary frames follow: 16 kHz, signed 16-bit, mono, at most 2 s each.

    Refused with `unavailable` where `transcription` is `browser`.
    """

    model_config = example(type="audio.start", mode="hands_free", idle_frame=40)

    type: Literal["audio.start"]
    mode: Literal["push_to_talk", "hands_free"] = "push_to_talk"
    """`push_to_talk`: everything until `audio.stop` is one question. `hands_free`: the server hears
    where a question ends, and speaking interrupts the answer."""
    idle_frame: Annotated[IdleFrame | None, Field(description=_IDLE_FRAME)] = None


class AudioStop(Incoming):
    """Closes the microphone."""

    model_config = example(type="audio.stop")

    type: Literal["audio.stop"]


class RtcOffer(Incoming):
    """Offers WebRTC, in the place of an earlier offer. Answered by `rtc.answer`, or by an `error`
    with `id`.

    Only where `session.ready` has `rtc`. Candidates in it are not looked at. Without `rtc.state`
    nothing changes: the server answers, and goes on to send fragments.
    """

    model_config = example(type="rtc.offer", sdp="v=0…", id="rtc-1")

    type: Literal["rtc.offer"]
    sdp: Annotated[str, Field(max_length=MAX_SDP_CHARACTERS)]
    """An offer that takes H.264 (packetisation mode 1) and Opus."""
    id: Id | None = None
    """The page's own name for this offer."""
    sound_delay_ms: Annotated[int, Field(ge=0, le=200)] | None = None
    """How long the page lets its browser keep sound before it is heard (`jitterBufferTarget`): so
    much sooner than its picture it is sent. Without it, what browsers mostly do by themselves."""


class RtcState(Incoming):
    """Tells whether packets of WebRTC arrive.

    `up`: segments from the next one on come over WebRTC (`transport` in `segment.started`).
    `down`: the fragments of all segments that have not been reported as `ended` follow at once.
    """

    model_config = example(type="rtc.state", state="down", reason="silent")

    type: Literal["rtc.state"]
    state: Literal["up", "down"]
    reason: Literal["connect", "silent", "loss", "freeze", "ended", "page"] = "page"
    """Why it is down: it did not connect, no packets came, too many were lost, the picture stood
    still, the connection ended, or the page wanted it."""


class Ping(Incoming):
    """Keeps the connection open; to be sent every 30 s. Answered by `pong`."""

    model_config = example(type="ping", t=1732612345678)

    type: Literal["ping"]
    t: float
    """Anything; comes back as it was."""


ClientMessage = Annotated[
    Hello
    | UserText
    | Say
    | Interrupt
    | AvatarSelect
    | LanguageSelect
    | VoiceSelect
    | Playback
    | AudioStart
    | AudioStop
    | RtcOffer
    | RtcState
    | Ping,
    Field(discriminator="type"),
]
CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


def parse(text: str) -> ClientMessage:
    """Read a client's message. Raises `InvalidInput` with what is wrong with it."""
    try:
        return CLIENT_MESSAGES.validate_json(text)
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
    return found if isinstance(found, str) and 0 < len(found) <= LONGEST_ID else None
