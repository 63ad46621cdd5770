"""What the messages of the server hold: presenters, clips, texts, and what WebRTC needs."""

from __future__ import annotations

from typing import Literal

from ditto_avatar.server.wire.base import Outgoing
from ditto_avatar.types import Emotion

Role = Literal["user", "assistant"]

EXAMPLE_AVATAR = {
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
EXAMPLE_TURN = "0c9be2f4a7d14e21"
EXAMPLE_SEGMENT = "5f3a9c0d11e2b470"
EXAMPLE_CLIP = {
    "index": 0,
    "text": "We open at nine.",
    "emotion": "happy",
    "video_url": "/video/kq0fVw3bSgYJ1mZc5dT8xA.mp4",
    "audio_url": "/audio/kq0fVw3bSgYJ1mZc5dT8xA.wav",
    "duration": 1.64,
    "first_frame": 114,
    "last_frame": 154,
}


class PreparingOut(Outgoing):
    """A presenter that is being made of a film."""

    name: str
    stage: Literal["waiting", "checking", "making", "testing", "failed"]
    """How far it is. One that failed is left out; the server's log has the reason."""


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


class NoticeShown(Outgoing):
    """A notice about the server, for the beginning."""

    code: str
    message: str
