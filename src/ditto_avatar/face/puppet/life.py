"""What a face does besides the mouth: emotions, brow accents and small nods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ditto_avatar.face.puppet.arkit import SHAPES, indices
from ditto_avatar.types import SAMPLES_PER_FRAME, Emotion, FloatArray, Phoneme

# One frame's share of a change that takes 300 ms.
_BLEND: Final = 40 / 300

_EMOTIONS: Final[dict[Emotion, dict[str, float]]] = {
    Emotion.NEUTRAL: {},
    Emotion.HAPPY: {
        "mouthSmile": 0.5,
        "cheekSquint": 0.45,
        "eyeSquint": 0.25,
        "browOuterUp": 0.15,
        "mouthDimple": 0.1,
    },
    Emotion.SAD: {
        "browInnerUp": 0.65,
        "mouthFrown": 0.45,
        "mouthShrugLower": 0.15,
        "eyeSquint": 0.15,
    },
    Emotion.ANGRY: {
        "browDown": 0.75,
        "eyeSquint": 0.3,
        "mouthPress": 0.2,
        "noseSneer": 0.25,
        "mouthFrown": 0.2,
    },
    Emotion.DISGUST: {
        "noseSneer": 0.6,
        "mouthUpperUp": 0.25,
        "browDown": 0.4,
        "mouthFrown": 0.25,
        "eyeSquint": 0.3,
    },
    Emotion.FEAR: {
        "browInnerUp": 0.7,
        "browOuterUp": 0.3,
        "eyeWide": 0.5,
        "mouthStretch": 0.3,
    },
    Emotion.SURPRISE: {
        "browInnerUp": 0.6,
        "browOuterUp": 0.65,
        "eyeWide": 0.5,
    },
    Emotion.CONTEMPT: {
        "mouthSmileLeft": 0.35,
        "mouthDimpleLeft": 0.3,
        "eyeSquint": 0.2,
        "browDownLeft": 0.25,
        "browOuterUpRight": 0.2,
    },
}

# An accent lasts this long and another does not follow sooner than this.
_ACCENT = 480 * 16
_ACCENT_APART = 1_000 * 16
_ACCENT_LEAD = 100 * 16
_ACCENT_BROWS: Final = {"browInnerUp": 0.18, "browOuterUp": 0.14}
_NOD_DEG: Final = 0.9


def _vector(shapes: dict[str, float]) -> FloatArray:
    vector = np.zeros(len(SHAPES), np.float32)
    for name, weight in shapes.items():
        vector[list(indices(name))] = weight
    return vector


_OFFSETS: Final = {emotion: _vector(shapes) for emotion, shapes in _EMOTIONS.items()}
_BROWS: Final = _vector(_ACCENT_BROWS)


class Life:
    """The state of one performance; stepped once a frame."""

    def __init__(self) -> None:
        self._from = np.zeros(len(SHAPES), np.float32)
        self._to = self._from
        self._share = 1.0
        self._accent = -_ACCENT_APART
        self._seen = -1

    def step(
        self,
        frame: int,
        spoken: Sequence[Phoneme],
        emotion: Emotion,
        intensity: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Offsets (52,) of the weights and (3,) of the head in degrees for this frame;
        `spoken` holds the phonemes that are known around it."""
        goal = _OFFSETS[emotion] * np.float32(intensity)
        if not np.array_equal(goal, self._to):
            self._from, self._to, self._share = self._mood(), goal, 0.0
        self._share = min(1.0, self._share + _BLEND)
        accent = self._accented(frame, spoken)
        head = np.array([_NOD_DEG * accent, 0, 0], np.float32)
        return self._mood() + _BROWS * np.float32(accent), head

    def _mood(self) -> FloatArray:
        smooth = np.float32(self._share * self._share * (3 - 2 * self._share))
        return self._from + (self._to - self._from) * smooth

    def _accented(self, frame: int, spoken: Sequence[Phoneme]) -> float:
        for phoneme in spoken:
            if phoneme.start > self._seen and phoneme.stressed:
                self._seen = phoneme.start
                if phoneme.start - self._accent >= _ACCENT_APART:
                    self._accent = phoneme.start
        at = (frame * SAMPLES_PER_FRAME - self._accent + _ACCENT_LEAD) / _ACCENT
        return float(np.sin(np.pi * at) ** 2) if 0 < at < 1 else 0.0
