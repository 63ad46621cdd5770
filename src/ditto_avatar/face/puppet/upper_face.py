"""What a face does besides the mouth: emotions, brow accents, small nods, blinks and gaze.

The sound and the frame's number decide everything: the same sound gives the same motion, however
it was cut into chunks.
"""

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
# At the end of a sentence the head dips once more, and is back before the tail of silence is over.
_END_NOD: Final = 200 * 16
_END_NOD_DEG: Final = 1.1
_SPOKE_LONG: Final = 900 * 16

# A blink, frame by frame, and how far apart blinks and glances are (frames).
_BLINK: Final = (0.5, 1.0, 0.9, 0.45, 0.15)
_BLINKS_APART: Final = (60, 140)
_GLANCES_APART: Final = (30, 80)
_GLANCE: Final = 0.1


def _vector(shapes: dict[str, float]) -> FloatArray:
    vector = np.zeros(len(SHAPES), np.float32)
    for name, weight in shapes.items():
        vector[list(indices(name))] = weight
    return vector


_OFFSETS: Final = {emotion: _vector(shapes) for emotion, shapes in _EMOTIONS.items()}
_BROWS: Final = _vector(_ACCENT_BROWS)


class UpperFace:
    """The state of one stream; stepped once a frame. With `eyes`, it blinks and glances:
    for faces whose idle loop does not."""

    def __init__(self, *, eyes: bool = False) -> None:
        self._from = np.zeros(len(SHAPES), np.float32)
        self._to = self._from
        self._share = 1.0
        self._accent = -_ACCENT_APART
        self._ending = -_END_NOD
        self._began = 0
        self._seen = -1
        self._eyes = _Eyes() if eyes else None

    def step(
        self,
        frame: int,
        horizon: int,
        spoken: Sequence[Phoneme],
        emotion: Emotion,
        intensity: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Offsets (52,) of the weights and (3,) of the head in degrees for this frame;
        `spoken` holds the phonemes around it that are known, up to sample `horizon`."""
        goal = _OFFSETS[emotion] * np.float32(intensity)
        if not np.array_equal(goal, self._to):
            self._from, self._to, self._share = self._mood(), goal, 0.0
        self._share = min(1.0, self._share + _BLEND)
        begin = frame * SAMPLES_PER_FRAME
        self._notice(begin, horizon, spoken)
        accent = _wave((begin - self._accent + _ACCENT_LEAD) / _ACCENT)
        ending = _wave((begin - self._ending) / _END_NOD)
        head = np.array([_NOD_DEG * accent + _END_NOD_DEG * ending, 0, 0], np.float32)
        face = self._mood() + _BROWS * np.float32(accent)
        return face if self._eyes is None else face + self._eyes.step(frame), head

    def _mood(self) -> FloatArray:
        smooth = np.float32(self._share * self._share * (3 - 2 * self._share))
        return self._from + (self._to - self._from) * smooth

    def _notice(self, begin: int, horizon: int, spoken: Sequence[Phoneme]) -> None:
        """Accents begin at stressed vowels, the nod of an end where no sound follows."""
        for phoneme in spoken:
            if phoneme.start <= self._seen:
                continue
            if phoneme.start - self._seen > _SPOKE_LONG or self._seen < self._ending:
                self._began = phoneme.start
            self._seen = phoneme.start
            if phoneme.stressed and phoneme.start - self._accent >= _ACCENT_APART:
                self._accent = phoneme.start
        last = max((p.end for p in spoken), default=begin)
        long = last - self._began > _SPOKE_LONG
        if begin < last < horizon - SAMPLES_PER_FRAME and long and self._ending < self._seen:
            self._ending = begin


class _Eyes:
    """Blinks and glances at moments that look like chance and are not."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(25)
        self._blink = self._after(0, _BLINKS_APART)
        self._glance = self._after(0, _GLANCES_APART)
        self._gaze = np.zeros(len(SHAPES), np.float32)

    def step(self, frame: int) -> FloatArray:
        """Weights (52,) of the eyes at `frame`; frames come in order."""
        if frame >= self._glance:
            side, height = self._random.uniform(-_GLANCE, _GLANCE, 2)
            self._gaze = _gaze(side, height / 2)
            self._glance = self._after(frame, _GLANCES_APART)
        weights = self._gaze.copy()
        since = frame - self._blink
        if 0 <= since < len(_BLINK):
            weights[list(indices("eyeBlink"))] = _BLINK[since]
        elif since >= len(_BLINK):
            self._blink = self._after(frame, _BLINKS_APART)
        return weights

    def _after(self, frame: int, apart: tuple[int, int]) -> int:
        return frame + int(self._random.integers(*apart))


def _gaze(side: float, height: float) -> FloatArray:
    """Weights (52,) of a look to the face's own left (`side` above 0) and down (`height`)."""
    one, other = ("Left", "Right") if side > 0 else ("Right", "Left")
    return _vector(
        {
            f"eyeLookOut{one}": abs(side),
            f"eyeLookIn{other}": abs(side),
            ("eyeLookDown" if height > 0 else "eyeLookUp"): abs(height),
        }
    )


def _wave(at: float) -> float:
    """A smooth hill from 0 at 0 over 1 to 0 at 1."""
    return float(np.sin(np.pi * at) ** 2) if 0 < at < 1 else 0.0
