"""The events of a turn in the pipeline, told while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.types import Emotion


class Stage(StrEnum):
    """The stages of the latency waterfall, in their order."""

    FIRST_TOKEN = "first_token"
    FIRST_SENTENCE = "first_sentence"
    FIRST_AUDIO = "first_audio"
    FIRST_FRAME = "first_frame"
    FIRST_FRAGMENT = "first_fragment"
    FIRST_PAINTED = "first_painted"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage of the waterfall was reached at `at`; only the first time counts."""

    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class TextArrived:
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class SegmentBegan:
    segment: str
    index: int
    text: str
    emotion: Emotion
    first_frame: int
    mime: str
    at: float
    sound: SegmentSound | None = None


@dataclass(frozen=True, slots=True)
class FragmentMade:
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
    at: float


@dataclass(frozen=True, slots=True)
class PipelineFailed:
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
