"""The messages about the media of a sentence: where it begins, its fragments, its clip."""

from __future__ import annotations

from typing import Literal

from ditto_avatar.server.wire.base import LiveMessage, LoggedMessage, example
from ditto_avatar.server.wire.content import (
    EXAMPLE_CLIP,
    EXAMPLE_SEGMENT,
    EXAMPLE_TURN,
    ClipOut,
)
from ditto_avatar.types import Emotion


class SegmentStarted(LoggedMessage):
    """Announces the media of a sentence, as soon as its first picture is drawn."""

    model_config = example(
        type="segment.started",
        seq=3,
        turn=EXAMPLE_TURN,
        generation=1,
        segment=EXAMPLE_SEGMENT,
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
        type="segment.placed", segment=EXAMPLE_SEGMENT, rtp=3_141_592_653, frame=0, frames=None
    )

    type: Literal["segment.placed"]
    segment: str
    rtp: int
    frame: int
    frames: int | None
    """How many frames the segment has; null as long as it is drawn."""


class SegmentData(LiveMessage):
    """Announces a fragment: the next binary frame, unless `bytes` is 0.

    Fragments are not sent again after a reconnect: the clip comes as `video_ready`.
    """

    model_config = example(
        type="segment.data",
        generation=1,
        segment=EXAMPLE_SEGMENT,
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
        type="video_ready",
        seq=5,
        turn=EXAMPLE_TURN,
        generation=1,
        segment=EXAMPLE_SEGMENT,
        **EXAMPLE_CLIP,
    )

    type: Literal["video_ready"]
    turn: str
    generation: int
    segment: str
