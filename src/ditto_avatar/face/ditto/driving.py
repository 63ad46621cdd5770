"""From motion rows to keypoints: what of the prediction moves the source, and how.

Motion is relative: x_d = x_s + (d − d₀) for the numbers that are driven. Of the expression only
the lips follow the drive, and the eyes where they are driven too; the rest stays the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from ditto_avatar.face.ditto.layout import (
    EXPRESSION,
    EYES,
    KEYPOINTS,
    LIPS,
    PITCH,
    POSE,
    ROLL,
    TRANSLATION,
    YAW,
    IndexArray,
    SourceMotion,
    degrees,
    place_keypoints,
)
from ditto_avatar.types import FloatArray

Stitch = Callable[[FloatArray, FloatArray], FloatArray]

# Eyes turn against the head: part of the head's turn in degrees, times these steps of the
# expression's numbers 33, 34, 45 and 46 (x and y of the two eyes' keypoints 11 and 15).
GAZE_YAW, GAZE_PITCH = 0.26, 0.28
GAZE_WIDE, GAZE_NARROW, GAZE_UP = 0.001, 0.0007, -0.001


@dataclass(frozen=True, slots=True)
class FrameControl:
    """What is changed about one frame; None leaves it.

    Pose offsets in degrees and factors, an offset of the expression (63,), `voice` 0..1 how far
    the expression follows the drive, `fade` 0..1 how far the faded keys do.
    """

    pitch_offset: float | None = None
    yaw_offset: float | None = None
    roll_offset: float | None = None
    pitch_factor: float | None = None
    yaw_factor: float | None = None
    roll_factor: float | None = None
    expression_offset: FloatArray | None = None
    voice: float | None = None
    fade: float | None = None

    def over(self, other: FrameControl) -> FrameControl:
        """This control, and `other` where this one says nothing."""
        pairs = {
            f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(FrameControl)
        }
        return FrameControl(**{name: b if a is None else a for name, (a, b) in pairs.items()})

    @property
    def offsets(self) -> tuple[float | None, float | None, float | None]:
        return (self.pitch_offset, self.yaw_offset, self.roll_offset)

    @property
    def factors(self) -> tuple[float | None, float | None, float | None]:
        return (self.pitch_factor, self.yaw_factor, self.roll_factor)


NOTHING = FrameControl()


@dataclass(frozen=True, slots=True)
class Controls:
    """Changes for single frames over changes for all of them."""

    overall: FrameControl = NOTHING
    frames: Mapping[int, FrameControl] = field(default_factory=dict)

    def at(self, index: int) -> FrameControl:
        control = self.frames.get(index)
        return self.overall if control is None else control.over(self.overall)


def fades(count: int, fade_in: int = 0, fade_out: int = 0) -> dict[int, FrameControl]:
    """The fade of the first and last frames of `count`: from 0 up to 1, and back to 0 in the
    last frame."""
    result = {index: FrameControl(fade=index / fade_in) for index in range(fade_in)}
    if fade_out > 0:
        first, last = max(count - fade_out - 1, 0), count - 1
        for index in range(first, count):
            result[index] = FrameControl(fade=max((last - index) / max(last - first, 1), 0.0))
    return result


def blink_frames(count: int, length: int, open_lengths: Sequence[int]) -> IndexArray:
    """Where in a blink of `length` frames each of `count` frames is, (count,); 0 is open.

    Eyes stay open for the first of `open_lengths`, blink, stay open for the next, in turn, and
    are open at the end."""
    index = np.zeros(count, np.int64)
    if not open_lengths:
        return index
    stop = count - max(open_lengths[-1], length)
    first, turn = open_lengths[0], 1
    while first < stop:
        index[first : first + length] = np.arange(length)
        first += length + open_lengths[turn % len(open_lengths)]
        turn += 1
    return index


def random_blinks(length: int, seed: int, shortest: int = 60, longest: int = 100) -> Iterator[int]:
    """The same without an end: a blink every `shortest` to `longest` frames."""
    rng = np.random.default_rng(seed)
    while True:
        for _ in range(int(rng.integers(shortest, longest + 1))):
            yield 0
        yield from range(length)


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """How a source is driven.

    `keys` are the driven parts of a motion row, each with a factor; `eyes` whether the eyes
    follow the drive, or `blink` (m, 63), the change of the expression over a blink, where that is
    given. `fade_to` says where a fade leads: the source itself, or the first frame drawn.
    """

    keys: Mapping[str, float]
    eyes: bool
    blink: FloatArray | None = None
    fade_keys: tuple[str, ...] = ("expression",)
    fade_to: str = "source"
    relative: bool = True

    @classmethod
    def for_image(cls, blink: FloatArray | None = None) -> DriveOptions:
        """A still picture: head and face follow the drive."""
        keys = dict.fromkeys(("expression", "pitch", "yaw", "roll", "translation"), 1.0)
        return cls(keys, eyes=True, blink=blink)

    @classmethod
    def for_video(cls) -> DriveOptions:
        """A video: its own head motion stays, the mouth follows the drive."""
        return cls({"expression": 1.0}, eyes=False)


PARTS: Mapping[str, slice] = {
    "pitch": PITCH,
    "yaw": YAW,
    "roll": ROLL,
    "translation": TRANSLATION,
    "expression": EXPRESSION,
}


def _mask(points: Sequence[int]) -> FloatArray:
    mask = np.zeros((KEYPOINTS, 3), np.float32)
    mask[list(points)] = 1
    return mask.reshape(-1)


LIP_MASK, EYE_MASK = _mask(LIPS), _mask(EYES)


@dataclass(slots=True)
class Driver:
    """Turns the motion of one stream into keypoints; remembers what it is relative to."""

    source: SourceMotion
    options: DriveOptions
    rest: FloatArray | None = None  # (265,) d₀; None takes the first row that comes
    _fade_target: FloatArray | None = None
    _facing: tuple[float, float] | None = None  # yaw and pitch of the first source frame

    def drive(
        self,
        motion: FloatArray,
        index: IndexArray,
        controls: Sequence[FrameControl] | None = None,
        blink: IndexArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Source and driving keypoints (m, 21, 3) each, before stitching, for the motion rows
        (m, 265), the source frames `index` (m,) and where in a blink the frames are."""
        rows, pose = self._describe(motion, index, controls, blink)
        canonical = self.source.keypoints[index]
        own = self.source.rows[index]
        return place_keypoints(canonical, own), place_keypoints(canonical, rows, pose)

    def rows(
        self, motion: FloatArray, index: IndexArray, blink: IndexArray | None = None
    ) -> FloatArray:
        """The driven motion rows (m, 265) themselves, for a source that is to move on its own."""
        return self._describe(motion, index, None, blink)[0]

    def _describe(
        self,
        motion: FloatArray,
        index: IndexArray,
        controls: Sequence[FrameControl] | None,
        blink: IndexArray | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Rows (m, 265) and the pose (m, 3) in degrees, which offsets may have changed."""
        controls = controls or [NOTHING] * len(motion)
        own = self.source.rows[index]
        rows = self._mixed(motion, own)
        rows[:, EXPRESSION] = self._expression(rows, own, blink)
        for row, source, control in zip(rows, own, controls, strict=True):
            _control_expression(row, source, control)
        pose = self._faded_pose(rows, own, controls)
        if self.options.eyes:
            self._turn_eyes(rows, own, pose)
        return rows, pose

    def _mixed(self, motion: FloatArray, own: FloatArray) -> FloatArray:
        """The source's rows with the driven parts moved as the drive moves."""
        if self.rest is None and self.options.relative:
            self.rest = motion[0].copy()
        rows = own.copy()
        for name, factor in self.options.keys.items():
            part = PARTS[name]
            if self.options.relative and self.rest is not None:
                rows[:, part] += (motion[:, part] - self.rest[part]) * factor
            else:
                rows[:, part] = motion[:, part] * factor
        return rows

    def _expression(
        self, rows: FloatArray, own: FloatArray, blink: IndexArray | None
    ) -> FloatArray:
        options = self.options
        eyes_follow = options.eyes and options.blink is None
        follows = np.maximum(LIP_MASK, EYE_MASK) if eyes_follow else LIP_MASK
        mixed = rows[:, EXPRESSION] * follows + own[:, EXPRESSION] * (1 - follows)
        if options.eyes and options.blink is not None and blink is not None:
            mixed = mixed + options.blink[blink] * EYE_MASK
        return mixed

    def _faded_pose(
        self, rows: FloatArray, own: FloatArray, controls: Sequence[FrameControl]
    ) -> FloatArray:
        """Applies factors, offsets and fades; gives the pose (m, 3) in degrees.

        As in the released model a factor scales the logits of the bins, and degrees only where
        there is an offset too."""
        offsets = [control.offsets for control in controls]
        for row, control, offset in zip(rows, controls, offsets, strict=True):
            for part, factor, moved in zip(POSE, control.factors, offset, strict=True):
                if factor is not None and moved is None:
                    row[part] *= factor
        if self._fade_target is None and self.options.fade_to == "first":
            self._fade_target = rows[0].copy()
        for row, source, control in zip(rows, own, controls, strict=True):
            if control.fade is not None:
                target = source if self._fade_target is None else self._fade_target
                for name in self.options.fade_keys:
                    part = PARTS[name]
                    row[part] = row[part] * control.fade + target[part] * (1 - control.fade)
        pose = np.stack([degrees(rows[:, part]) for part in POSE], axis=1)
        for angles, control, offset in zip(pose, controls, offsets, strict=True):
            for axis, (moved, factor) in enumerate(zip(offset, control.factors, strict=True)):
                if moved is not None:
                    angles[axis] = (angles[axis] + moved) * (1 if factor is None else factor)
        return pose

    def _turn_eyes(self, rows: FloatArray, own: FloatArray, pose: FloatArray) -> None:
        """Keeps the gaze: when the head turns away from the source's pose, eyes turn back."""
        if self._facing is None:
            yaw, pitch = (float(degrees(own[:1, part])[0]) for part in (YAW, PITCH))
            self._facing = (yaw, pitch)
        across = (pose[:, 1] - self._facing[0]) * GAZE_YAW
        down = (pose[:, 0] - self._facing[1]) * GAZE_PITCH
        expression = rows[:, EXPRESSION]
        right = across > 0
        expression[:, 33] += across * np.where(right, GAZE_NARROW, GAZE_WIDE)
        expression[:, 45] += across * np.where(right, GAZE_WIDE, GAZE_NARROW)
        expression[:, 34] += down * GAZE_UP
        expression[:, 46] += down * GAZE_UP


def _control_expression(row: FloatArray, source: FloatArray, control: FrameControl) -> None:
    if control.voice is not None and control.voice < 1:
        voice = control.voice
        row[EXPRESSION] = row[EXPRESSION] * voice + source[EXPRESSION] * (1 - voice)
    if control.expression_offset is not None:
        row[EXPRESSION] += control.expression_offset
