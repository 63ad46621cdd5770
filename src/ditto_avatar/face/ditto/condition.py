"""What the diffusion model is told about each frame: 1,103 numbers.

Sound 1,024 | emotion 8 | eye openness 2 | eyeballs 6 | canonical keypoints 63.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ditto_avatar.face.ditto.layout import IndexArray, SourceMotion
from ditto_avatar.types import Emotion, FloatArray

AUDIO = 1024
CONDITION = 1103
EMOTIONS = tuple(Emotion)
CERTAINTY = 8.0  # the logit of a named emotion; the others have 0

SourceFrameOf = Callable[[IndexArray], IndexArray]
"""Which source frame each shown frame is drawn from."""


def emotion_row(emotions: Sequence[Emotion], intensity: float = 1.0) -> FloatArray:
    """The shares (8,) of one emotion, or of several at once; `intensity` 0 is neutral, 1 full."""

    def shares(members: Sequence[Emotion]) -> FloatArray:
        logits = np.zeros(len(EMOTIONS), np.float32)
        logits[[EMOTIONS.index(member) for member in members]] = CERTAINTY
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum(), np.float32)

    neutral = shares([Emotion.NEUTRAL])
    row: FloatArray = neutral + np.float32(intensity) * (shares(emotions) - neutral)
    return row


def condition_rows(
    audio: FloatArray, emotion: FloatArray, first: int, source: SourceMotion, walk: SourceFrameOf
) -> FloatArray:
    """Conditions (m, 1103) of frames `first` to `first` + m from sound (m, 1024) and emotion
    (m, 8). Frames before 0, the silence before a stream, see the eyes of frame 0."""
    count = len(audio)
    frames = np.maximum(np.arange(first, first + count, dtype=np.int64), 0)
    index = walk(frames)
    canonical = np.broadcast_to(source.canonical, (count, len(source.canonical)))
    return np.concatenate(
        [audio, emotion, source.eye_open[index], source.eye_ball[index], canonical],
        axis=1,
        dtype=np.float32,
    )
