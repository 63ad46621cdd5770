"""Define the events of a turn in the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.types import Emotion


class Milestone(StrEnum):
    """The milestones of a turn in the latency waterfall, in their order."""

    FIRST_TOKEN = "first_token"
    FIRST_SENTENCE = "first_sentence"
    FIRST_AUDIO = "first_audio"
    FIRST_FRAME = "first_frame"
    FIRST_FRAGMENT = "first_fragment"
    FIRST_PAINTED = "first_painted"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Reached:
    """A milestone was reached at `at`; only the first time counts."""

    milestone: Milestone
    at: float


@dataclass(frozen=True, slots=True)
class TextArrived:
    """The next words of the answer came at `at`."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class SegmentBegan:
    """The first picture of a segment was encoded: its media will come."""

    segment: str
    index: int
    text: str
    emotion: Emotion
    first_frame: int
    mime: str
    at: float
    sound: SegmentSound | None = None
    packets: SegmentPackets | None = None
    """The segment picture by picture, where a viewer takes it so."""


@dataclass(frozen=True, slots=True)
class FragmentMade:
    """The next piece of a segment can be played; the `last` one may be empty."""

    segment: str
    index: int
    data: bytes
    last: bool
    at: float


@dataclass(frozen=True, slots=True)
class SegmentDrawn:
    """All of a segment was drawn: how long it plays."""

    segment: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """All sound of the turn was made: it will have so many `frames`."""

    frames: int


@dataclass(frozen=True, slots=True)
class ClipStored:
    """A segment was stored as a clip."""

    segment: str
    clip: Clip


@dataclass(frozen=True, slots=True)
class PipelineEnded:
    """The pipeline has done all of its work."""

    at: float


@dataclass(frozen=True, slots=True)
class PipelineFailed:
    """The pipeline broke off with an error: its code and a sentence for people."""

    code: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class Troubled:
    """Something went wrong that the turn survives."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the person should know, that is no error."""

    code: str
    message: str


Progress = (
    Reached
    | TextArrived
    | SegmentBegan
    | FragmentMade
    | SegmentDrawn
    | SoundEnded
    | ClipStored
    | PipelineEnded
    | PipelineFailed
    | Troubled
    | Noticed
)
