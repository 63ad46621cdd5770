from __future__ import annotations

import numpy as np

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.pipeline.cache import SegmentMedia
from ditto_avatar.pipeline.segment import Segment
from ditto_avatar.types import SAMPLES_PER_FRAME, VideoFrame


def picture(index: int, idle_frame: int) -> VideoFrame:
    return VideoFrame(index, idle_frame, np.full((96, 64), 100, np.uint8))


def test_a_segment_is_complete_when_its_sound_is_drawn() -> None:
    part = Segment("s", 0, Sentence("Hi."), None)
    part.sound.add(np.zeros(2 * SAMPLES_PER_FRAME, np.float32))
    for frame in (picture(0, 7), picture(1, 8)):
        part.next_samples(frame)
        part.took()
    assert not part.complete  # more sound may come
    assert not part.take_end()
    part.close()
    assert part.complete
    assert (part.first_frame, part.last_frame, part.seconds) == (7, 8, 0.08)


def test_a_last_partial_frame_is_filled_with_silence() -> None:
    part = Segment("s", 0, Sentence("Hi."), None)
    part.sound.add(np.ones(SAMPLES_PER_FRAME + 1, np.float32))
    assert part.close() == 2
    assert len(part.sound.samples) == 2 * SAMPLES_PER_FRAME


def test_a_picture_has_the_samples_of_its_place_and_silence_where_none_came_yet() -> None:
    part = Segment("s", 0, Sentence("Hi."), None)
    part.sound.add(np.arange(SAMPLES_PER_FRAME + 10, dtype=np.float32))
    assert part.next_samples(picture(0, 0))[-1] == SAMPLES_PER_FRAME - 1
    part.took()
    samples = part.next_samples(picture(1, 1))
    assert len(samples) == SAMPLES_PER_FRAME
    assert samples[9] == SAMPLES_PER_FRAME + 9
    assert not samples[10:].any()


def test_a_segment_is_ended_once_and_not_while_its_last_picture_is_on_its_way() -> None:
    part = Segment("s", 0, Sentence("Hi."), None)
    part.sound.add(np.zeros(SAMPLES_PER_FRAME, np.float32))
    part.close()
    part.next_samples(picture(0, 0))
    assert not part.take_end()
    part.took()
    assert part.take_end()
    assert not part.take_end()


def test_a_segment_of_the_cache_is_complete_and_not_kept_again() -> None:
    media = SegmentMedia((), np.zeros(3 * SAMPLES_PER_FRAME, np.float32), 4, 6)
    part = Segment.of_media("s", 2, Sentence("Hi."), media)
    assert part.complete
    assert part.key is None
    assert (part.index, part.seconds, part.first_frame, part.last_frame) == (2, 0.12, 4, 6)
