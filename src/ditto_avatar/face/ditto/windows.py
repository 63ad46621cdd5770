"""From conditions to one unbroken motion: overlapping clips, faded into each other.

Nothing here computes a clip. `MotionStream` says which clip it needs next (`request`) and takes
the prediction (`add`), so that a scheduler may predict the clips of many viewers at once. A copy
of a stream is a stream of its own: what is drawn ahead of sound that may still change is drawn
from a copy, and the stream itself does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ditto_avatar.face.ditto.layout import MOTION, TRANSLATION
from ditto_avatar.types import FloatArray

CLIP_FRAMES = 80
SMOOTHED = slice(0, TRANSLATION.stop)  # pose, scale and place; the expression keeps its edges


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How clips follow each other.

    `overlap` frames of a clip repeat the one before. Every `reset` clips (0: never) the clip is
    told to continue from the source's own motion but for the numbers `kept`. `bounds` (2, 265) or
    (2, 1) are the smallest and largest motion shown. `smooth` frames are averaged where clips
    meet.
    """

    overlap: int = 10
    reset: int = 0
    kept: slice | None = None
    bounds: FloatArray | None = None
    smooth: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.overlap < CLIP_FRAMES:
            raise ValueError(f"overlap should lie between 1 and 79 frames, not {self.overlap}.")

    @property
    def valid(self) -> int:
        """Frames by which one clip carries the motion on."""
        return CLIP_FRAMES - self.overlap


def bounded(rows: FloatArray, bounds: FloatArray | None) -> FloatArray:
    return rows if bounds is None else np.clip(rows, bounds[0], bounds[1])


def smooth(rows: FloatArray, first: int, last: int, window: int) -> FloatArray:
    """`rows` (n, 265) with rows `first` to `last` averaged over `window` of the rows as given."""
    if window <= 1:
        return rows
    half, result = window // 2, rows.copy()
    for index in range(first, last):
        around = rows[max(0, index - half) : index + half + 1, SMOOTHED]
        result[index, SMOOTHED] = around.mean(axis=0)
    return result


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """Everything a prediction needs: `condition` (80, 1103), the row to continue from `start`
    (265,), and the clip's number, which fixes its noise."""

    condition: FloatArray
    start: FloatArray
    clip: int


@dataclass(slots=True)
class ClipChain:
    """Clips joined so far. `rows` is the joined motion from frame `first` on; what nobody needs
    any more is forgotten. `fuse` frames are faded between two clips."""

    options: WindowOptions
    source: FloatArray  # (265,): the source's own motion
    fuse: int
    rows: FloatArray = field(default_factory=lambda: np.zeros((0, MOTION), np.float32))
    first: int = 0
    clips: int = 0
    start: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.source

    @property
    def end(self) -> int:
        return self.first + len(self.rows)

    def copy(self) -> ClipChain:
        """A chain that goes its own way; arrays are never written in place."""
        other = replace(self)
        other.start = self.start
        return other

    def add(self, prediction: FloatArray) -> None:
        """Join the next clip's motion (80, 265)."""
        options = self.options
        if self.clips == 0:
            self.rows = smooth(prediction, 0, CLIP_FRAMES, options.smooth)
        else:
            ours = self.rows[-self.fuse :]
            theirs = prediction[options.overlap - self.fuse : options.overlap]
            share = np.arange(self.fuse, dtype=np.float32)[:, None] / self.fuse
            faded = ours * (1 - share) + theirs * share
            met = len(self.rows) - self.fuse
            rows = np.concatenate([self.rows[:met], faded, prediction[options.overlap :]])
            self.rows = smooth(rows, met, met + self.fuse + 1, options.smooth)
        self.clips += 1
        self.start = self._continue_from(self.rows[len(self.rows) - options.overlap - 1])

    def _continue_from(self, last: FloatArray) -> FloatArray:
        options = self.options
        if options.reset == 0 or self.clips % options.reset != 0:
            return last
        start = self.source.copy()
        if options.kept is not None:
            start[options.kept] = last[options.kept]
        return start

    def forget(self, before: int) -> None:
        """Drop rows of frames before `before`, as far as the next clip does not need them."""
        keep = max(self.fuse, self.options.overlap) + self.options.smooth
        count = min(before - self.first, len(self.rows) - keep)
        if count > 0:
            self.rows, self.first = self.rows[count:], self.first + count


def padded(conditions: FloatArray) -> FloatArray:
    """80 conditions: the last one repeated."""
    missing = CLIP_FRAMES - len(conditions)
    return np.concatenate([conditions, np.repeat(conditions[-1:], missing, axis=0)])


def offline_motion(
    conditions: FloatArray,
    source: FloatArray,
    options: WindowOptions,
    predict: Callable[[ClipRequest], FloatArray],
) -> FloatArray:
    """The motion (n, 265) of `n` conditions known beforehand: each clip fades over the whole
    overlap, and the whole is smoothed once more."""
    count = len(conditions)
    chain = ClipChain(options, source, fuse=options.overlap)
    for first in range(0, count, options.valid):
        condition = padded(conditions[first : first + CLIP_FRAMES])
        chain.add(predict(ClipRequest(condition, chain.start, chain.clips)))
    rows = chain.rows[:count]
    return bounded(smooth(rows, 0, count, options.smooth), options.bounds)


@dataclass(slots=True)
class MotionStream:
    """Motion while sound still comes in.

    Begins with `overlap` conditions of silence, so that the first clip, which is not shown,
    gives later ones something to continue. A frame is known `valid` to 2 · `valid` frames after
    its condition.
    """

    options: WindowOptions
    source: FloatArray  # (265,)
    conditions: FloatArray  # (n, 1103) from `first` on; begins as the silence
    first: int = 0
    received: int = 0  # conditions of sound so far
    shown: int = 0  # motion rows given out so far
    chain: ClipChain = field(init=False)
    rest: FloatArray | None = None  # (265,): the first row of all, which motion is relative to

    def __post_init__(self) -> None:
        options = self.options
        if options.overlap < options.valid:
            raise ValueError(
                f"a stream needs an overlap of at least {CLIP_FRAMES // 2} frames, "
                f"not {options.overlap}."
            )
        if len(self.conditions) != options.overlap:
            raise ValueError(
                f"a stream begins with {options.overlap} silent conditions, "
                f"not {len(self.conditions)}."
            )
        self.chain = ClipChain(options, self.source, fuse=options.valid)

    def copy(self) -> MotionStream:
        """A stream that goes its own way."""
        other = object.__new__(MotionStream)
        for name in self.__dataclass_fields__:
            setattr(other, name, getattr(self, name))
        other.chain = self.chain.copy()
        return other

    def push(self, conditions: FloatArray) -> None:
        """Conditions (m, 1103) of the next m frames."""
        self.conditions = np.concatenate([self.conditions, conditions])
        self.received += len(conditions)

    @property
    def _next(self) -> int:
        """The condition that the next clip begins with."""
        return self.chain.clips * self.options.valid

    @property
    def _known(self) -> int:
        """Shown frames whose motion the chain holds, the last clip's unfaded end included."""
        return self.chain.end - self.options.overlap

    @property
    def missing(self) -> int:
        """Conditions that the next clip still needs for the frames that are owed; 0 when all
        sound was shown."""
        if self.shown >= self.received:
            return 0
        return max(CLIP_FRAMES - (len(self.conditions) - (self._next - self.first)), 0)

    def pad(self, conditions: FloatArray) -> None:
        """Stand-ins (m, 1103) for what comes after the last sound; their frames are not shown.
        With `missing` of them, the last clip can be predicted, and `take(final=True)` gives the
        frames of all sound."""
        self.conditions = np.concatenate([self.conditions, conditions])

    def request(self) -> ClipRequest | None:
        """The clip to predict next, or None while more sound is needed."""
        start = self._next - self.first
        condition = self.conditions[start : start + CLIP_FRAMES]
        if len(condition) < CLIP_FRAMES:
            return None
        return ClipRequest(condition, self.chain.start, self.chain.clips)

    def add(self, prediction: FloatArray) -> None:
        """The motion (80, 265) predicted for the last request."""
        self.chain.add(prediction)
        if self.rest is None:
            self.rest = bounded(self.chain.rows[:1], self.options.bounds)[0]
        drop = self._next - self.first
        if drop > CLIP_FRAMES:
            self.conditions, self.first = self.conditions[drop:], self.first + drop

    def take(self, final: bool = False) -> FloatArray:
        """Motion rows (m, 265) that are ready and were not taken yet. `final` also gives the last
        clip's end, which nothing will be faded into, as far as there was sound."""
        options = self.options
        ready = self._known - (0 if final else options.valid)
        last = min(ready, self.received)
        if self.chain.clips == 0 or last <= self.shown:
            return np.zeros((0, MOTION), np.float32)
        begin = self.shown + options.overlap - self.chain.first
        rows = self.chain.rows[begin : begin + last - self.shown]
        self.shown = last
        self.chain.forget(last + options.overlap)
        return bounded(rows, options.bounds)
