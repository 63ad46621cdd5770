"""What viewers are told of a segment, and when."""

from __future__ import annotations

import numpy as np

from ditto_avatar.clock import SystemClock
from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.face.avatar import Avatar
from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.pipeline.encoding import Encoded
from ditto_avatar.pipeline.outputs import ViewerOutput
from ditto_avatar.pipeline.packets import PacketFeed
from ditto_avatar.pipeline.progress import Progress, SegmentBegan
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.types import SAMPLES_PER_FRAME


def test_the_first_picture_is_there_when_a_segment_is_told_of(avatar: Avatar) -> None:
    """Else the thread that sends packets, which looks at once, waits for its next tick."""
    ready: list[int] = []

    def note(told: Progress) -> None:
        if isinstance(told, SegmentBegan):
            assert told.packets is not None
            ready.append(len(told.packets))

    output = ViewerOutput(avatar, note, SystemClock(), PacketFeed(lambda: True))
    segment = Segment("s", 0, Sentence("Hi."), None)
    segment.sound.add(np.zeros(3 * SAMPLES_PER_FRAME, np.float32))
    picture = EncodedPicture(b"picture", key=True)
    for _ in range(2):
        output.add(segment, Encoded([], picture, np.zeros(SAMPLES_PER_FRAME, np.float32)))
    assert ready == [1]
