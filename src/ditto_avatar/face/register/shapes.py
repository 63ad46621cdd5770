"""The general shapes fitted to one face: lips that smile at rest still round for o and u."""

from __future__ import annotations

from typing import Final

import numpy as np

from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX
from ditto_avatar.face.puppet.fields import floats, interpolate
from ditto_avatar.face.puppet.lip_skin import keep_apart
from ditto_avatar.face.puppet.model import general_basis, scaled_basis
from ditto_avatar.types import FloatArray

# How much of the smile at rest each shape takes back at weight 1.
_TAKES_BACK: Final = {"mouthPucker": 0.95, "mouthFunnel": 0.8}
_UPPER: Final = lm.INNER_LIPS[:11]
_LOWER: Final = (*lm.INNER_LIPS[10:], lm.INNER_LIPS[0])[::-1]
# Skin around the lips that stays: nose, cheeks, chin.
_FIXED: Final = (
    *(2, 98, 327, 1, 168, 10, 33, 263, 133, 362, 234, 454, 50, 280, 205, 425, 116, 345, 117, 346),
    *(152, 148, 377, 175, 199, 132, 361, 58, 288, 172, 397, 136, 365, 200),
)
# A mouth is not narrowed by more than this share of its width: a broad one may just be broad.
_MOST_NARROWER: Final = 0.16


def fitted_shapes(neutral: FloatArray) -> FloatArray:
    """Return displacements (52, 478, 3) of the points `neutral` (478, 3), whose lips are shut, by
    ARKit shape."""
    shapes = scaled_basis(neutral)
    relaxed = _relaxation(neutral)
    for name, share in _TAKES_BACK.items():
        shapes[INDEX[name], :468, :2] += share * relaxed
    keep_apart(neutral, shapes)
    return shapes


def _relaxation(neutral: FloatArray) -> FloatArray:
    """How far the points (468, 2) go when the mouth stops smiling: the line of the lips gets the
    curve and the width of the average face's."""
    average, _ = general_basis()
    own_bend, own_half, turn, middle = _line(neutral[:, :2])
    bend, half, _, _ = _line(average[:, :2])
    eyes = np.linalg.norm(neutral[lm.LEFT_EYE_OUTER] - neutral[lm.RIGHT_EYE_OUTER])
    # Negative: the corners lie higher than the middle.
    smile = min(own_bend - bend, 0.0) * own_half
    wide = np.clip(1 - half * eyes / own_half, 0, _MOST_NARROWER) * own_half
    lips = np.array(lm.LIPS)
    upright = (neutral[lips, :2] - middle) @ turn.T
    across = np.clip(upright[:, 0] / own_half, -1.1, 1.1)
    ways = np.stack([-wide * across, -smile * across**2], axis=1) @ turn
    fixed = np.array(_FIXED)
    known = np.concatenate([lips, fixed])
    moves = np.concatenate([ways, np.zeros((len(fixed), 2))])
    relaxed = interpolate(neutral[known, :2], floats(moves), neutral[:468, :2], 0.3)
    relaxed[lips] = ways
    reach = np.linalg.norm((neutral[:468, :2] - middle) @ turn.T / (own_half, own_half), axis=1)
    return floats(relaxed * np.clip((2.4 - reach) / 0.8, 0, 1)[:, None])


def _line(points: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
    """How the line of the lips is bent (its height at the corners over half its width), half its
    width, the turn (2, 2) that makes it level, and its middle (2,)."""
    line = (points[list(_UPPER)] + points[list(_LOWER)]) / 2
    across = line[-1] - line[0]
    half = float(np.linalg.norm(across)) / 2
    cosine, sine = across / (2 * half)
    turn = floats([[cosine, sine], [-sine, cosine]])
    middle = (line[0] + line[-1]) / 2
    upright = (line - middle) @ turn.T / half
    bend = float(np.polyfit(upright[:, 0], upright[:, 1], 2)[0])
    return bend, half, turn, floats(middle)
