"""Make a segment: its sound grows, its pictures are counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.media.fragments import Fragment
from ditto_avatar.pipeline.cache import CacheKey, SegmentMedia
from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.types import FRAME_RATE_HZ, SAMPLES_PER_FRAME, FloatArray, VideoFrame


@dataclass(slots=True, eq=False)
class Segment:
    """Join the sound and the pictures of a sentence by counting.

    The speaking task adds sound and closes it at the end; the drawing task adds pictures. Picture
    ``i`` shows samples ``640 i`` to ``640 (i + 1)``. After `close` the segment is complete when
    as many pictures were taken as the sound is long. `key` names it in the cache; None keeps it
    out.
    """

    id: str
    index: int
    sentence: Sentence
    key: CacheKey | None
    sound: SegmentSound = field(default_factory=SegmentSound)
    frames: int | None = None
    drawn: int = 0
    first_frame: int = 0
    last_frame: int = 0
    _ended: bool = False

    @classmethod
    def of_media(cls, id: str, index: int, sentence: Sentence, media: SegmentMedia) -> Segment:
        """Make a complete segment from `media` of the cache; it is not cached again."""
        return cls(
            id,
            index,
            sentence,
            None,
            SegmentSound(media.audio),
            frames=media.frames,
            drawn=media.frames,
            first_frame=media.first_frame,
            last_frame=media.last_frame,
        )

    @property
    def seconds(self) -> float:
        """Length of the pictures so far."""
        return self.drawn / FRAME_RATE_HZ

    @property
    def complete(self) -> bool:
        """Whether every picture that the sound asks for has been taken."""
        return self.frames is not None and self.drawn >= self.frames

    def close(self) -> int:
        """End the sound, a last partial frame filled with silence; return how many pictures the
        segment will have."""
        missing = -len(self.sound.samples) % SAMPLES_PER_FRAME
        if missing:
            self.sound.add(np.zeros(missing, np.float32))
        self.frames = len(self.sound.samples) // SAMPLES_PER_FRAME
        return self.frames

    def next_samples(self, frame: VideoFrame) -> FloatArray:
        """Return the 640 samples that the next picture, `frame`, shows; what is not there yet is
        silent. Call `took` when the picture has been handed on."""
        if self.drawn == 0:
            self.first_frame = frame.idle_frame
        self.last_frame = frame.idle_frame
        start = self.drawn * SAMPLES_PER_FRAME
        samples = self.sound.samples[start : start + SAMPLES_PER_FRAME]
        return np.pad(samples, (0, SAMPLES_PER_FRAME - len(samples)))

    def took(self) -> None:
        """Count a picture that was handed on: a complete segment is ended at once."""
        self.drawn += 1

    def take_end(self) -> bool:
        """Claim the end of a complete segment. True for the first caller: the speaking task when
        the pictures were faster, else the drawing task."""
        if self._ended or not self.complete:
            return False
        self._ended = True
        return True

    def media(self, fragments: tuple[Fragment, ...]) -> SegmentMedia:
        """Return the finished segment as it can be kept and played again."""
        return SegmentMedia(fragments, self.sound.samples, self.first_frame, self.last_frame)
