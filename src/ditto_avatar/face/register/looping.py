"""Make a loop of a stretch of film: from its end back to its beginning without a jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

# Frames over which the end becomes the beginning.
FADE: Final = 12
# A loop that only goes forwards is at least this long.
_SHORTEST: Final = 3 * FRAME_RATE_HZ
# Poses this much of the face's width apart fade into each other without being seen double.
_ALIKE: Final = 0.008
# Eyes more shut than this are in a blink.
_BLINKING: Final = 0.35


@dataclass(frozen=True, slots=True)
class Loop:
    """Frame i of the loop shows frame `one[i]` of the stretch, `share[i]` of the way on to frame
    `other[i]`. `points` (n, 478, 3) and `closure` (n, 2) are the loop's."""

    one: list[int]
    other: list[int]
    share: FloatArray
    points: FloatArray
    closure: FloatArray

    def mix(self, pictures: Sequence[ByteArray]) -> list[ByteArray]:
        """Return the loop's pictures out of the stretch's."""
        made = []
        for one, other, share in zip(self.one, self.other, self.share, strict=True):
            picture = pictures[one]
            if share > 0:
                mixed = picture * (1 - share) + pictures[other] * share
                picture = np.asarray(mixed + 0.5, np.uint8)
            made.append(picture)
        return made


def loop_of(points: FloatArray, closure: FloatArray) -> Loop:
    """Return the loop in a stretch with these points (n, 478, 3) and eyes (n, 2): forwards, the end
    fading into the beginning, where the head comes back to a pose; else forwards and back."""
    cut = _return(points, closure)
    if cut is None:
        count = len(points)
        one = [*range(count), *range(count - 2, 0, -1)]
        return _loop(points, closure, one, one, np.zeros(len(one), np.float32))
    first, end = cut
    plain = list(range(first + FADE, end - FADE))
    leaving, coming = list(range(end - FADE, end)), list(range(first, first + FADE))
    rising = floats((np.arange(FADE) + 1) / (FADE + 1))
    eased = rising * rising * (3 - 2 * rising)
    share = floats(np.concatenate([np.zeros(len(plain)), eased]))
    return _loop(points, closure, [*plain, *leaving], [*plain, *coming], share)


def _loop(
    points: FloatArray,
    closure: FloatArray,
    one: list[int],
    other: list[int],
    share: FloatArray,
) -> Loop:
    def mixed(values: FloatArray) -> FloatArray:
        portion = share.reshape(-1, *[1] * (values.ndim - 1))
        return floats(values[one] * (1 - portion) + values[other] * portion)

    return Loop(one, other, share, mixed(points), mixed(closure))


def _return(points: FloatArray, closure: FloatArray) -> tuple[int, int] | None:
    """First and end of the longest part whose ends, `FADE` frames each, look alike."""
    width = float(np.ptp(points[:, list(lm.FACE_OVAL), 0], axis=1).mean())
    flat = points[:, :468:6, :2]
    open_ = closure.max(axis=1) < _BLINKING
    calm = np.array([open_[i : i + FADE].all() for i in range(len(points) - FADE + 1)])
    starts = np.flatnonzero(calm)
    for length in range(len(points), _SHORTEST + FADE - 1, -1):
        pairs = [i for i in starts if i + length <= len(points) and calm[i + length - FADE]]
        if not pairs:
            continue
        begin = np.array(pairs)[:, None] + np.arange(FADE)
        away = np.linalg.norm(flat[begin + length - FADE] - flat[begin], axis=3)
        worst = away.mean(axis=2).max(axis=1)
        if worst.min() < _ALIKE * width:
            first = int(pairs[int(worst.argmin())])
            return first, first + length
    return None
