"""Move the irises of a still face between lids that stay."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.fields import floats, pick, soften
from ditto_avatar.types import FRAME_RATE_HZ, ByteArray, FloatArray

# The centre of each iris, the four points around it, and the lids it lies between.
_EYES: Final = ((468, lm.RIGHT_EYE), (473, lm.LEFT_EYE))
# The iris moves as one up to so many of its radii; the white beside it gives way up to there.
_WHOLE: Final = 1.1
_REACH: Final = 2.3
# Eyes dart this far aside and up, in radii of the iris: about five degrees.
_ASIDE: Final = 0.17
_UP: Final = 0.07
# Seconds that a gaze rests, on the camera and aside.
_HOLDS_S: Final = ((1.6, 3.2), (0.5, 1.1))


def gazes(random: np.random.Generator, frames: int) -> FloatArray:
    """Return where the eyes look in each frame (n, 2), right and down in radii of the iris: mostly
    into the camera, which is (0, 0), as at the beginning and the end."""
    found = np.zeros((frames, 2), np.float32)
    at, aside = 0, False
    while True:
        length = int(random.uniform(*_HOLDS_S[aside]) * FRAME_RATE_HZ)
        if at + length > frames - FRAME_RATE_HZ // 2:
            return found
        if aside:
            found[at : at + length] = random.uniform(-1, 1, 2) * (_ASIDE, _UP)
        at, aside = at + length, not aside


def look(picture: ByteArray, points: FloatArray, gaze: FloatArray) -> tuple[ByteArray, FloatArray]:
    """Return `picture` (h, w, 3) and its points (478, 3) with the eyes turned by `gaze` (2,)."""
    if not gaze.any():
        return picture, points
    made, moved = picture.copy(), points.copy()
    for centre, lids in _EYES:
        iris = points[centre, :2]
        radius = float(np.linalg.norm(points[centre + 1 : centre + 5, :2] - iris, axis=1).mean())
        way = floats(gaze * radius)
        moved[centre : centre + 5, :2] += way
        low = np.maximum(np.floor(iris - 2.5 * radius), 0).astype(int)
        high = np.minimum(np.ceil(iris + 2.5 * radius), picture.shape[1::-1]).astype(int)
        box = slice(low[1], high[1]), slice(low[0], high[0])
        columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        at = floats(np.stack([columns, rows], axis=2))
        away = np.linalg.norm(at - iris, axis=2) / radius
        share = np.clip((_REACH - away) / (_REACH - _WHOLE), 0, 1)
        turned = pick(picture, floats(at - share[..., None] * way)).astype(np.float32)
        opening = np.zeros(share.shape, np.uint8)
        rim = np.round((points[list(lids), :2] - low) * 16).astype(np.int32)
        cv2.fillPoly(opening, [rim], 255, cv2.LINE_AA, 4)
        inside = soften(floats(opening / 255), 0.8)[..., None]
        here = made[box].astype(np.float32)
        made[box] = np.clip(here + (turned - here) * inside + 0.5, 0, 255).astype(np.uint8)
    return made, moved
