from __future__ import annotations

import numpy as np

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX
from ditto_avatar.face.puppet.model import general_basis, scaled_basis
from ditto_avatar.face.register.shapes import fitted_shapes
from ditto_avatar.types import FloatArray

CORNERS = [61, 291]


def face(smile: float) -> FloatArray:
    """The average face in pixels, its mouth corners up and apart."""
    neutral, shapes = general_basis()
    smiling = shapes[INDEX["mouthSmileLeft"]] + shapes[INDEX["mouthSmileRight"]]
    points: FloatArray = ((neutral + smile * smiling) * 200).astype(np.float32)
    return points


def corners_above_middle(points: FloatArray) -> float:
    return float(points[[13, 14], 1].mean() - points[CORNERS, 1].mean())


def test_a_smiling_mouth_rounds_like_a_calm_one() -> None:
    rounded = {}
    for smile in (0.0, 0.8):
        points = face(smile)
        rounded[smile] = points + fitted_shapes(points)[INDEX["mouthPucker"]]
    calm, smiling = (corners_above_middle(rounded[smile]) for smile in (0.0, 0.8))
    unfitted = face(0.8) + scaled_basis(face(0.8))[INDEX["mouthPucker"]]
    assert abs(smiling - calm) < 0.35 * abs(corners_above_middle(unfitted) - calm)
    assert np.ptp(rounded[0.8][CORNERS, 0]) < np.ptp(unfitted[CORNERS, 0])


def test_a_calm_mouth_keeps_the_general_shapes() -> None:
    points = face(0.0)
    away = np.linalg.norm(fitted_shapes(points) - scaled_basis(points), axis=2)
    assert away.max() < 0.02 * np.ptp(points[CORNERS, 0])


def test_shapes_of_eyes_and_jaw_are_left_alone() -> None:
    points = face(0.8)
    fitted, general = fitted_shapes(points), scaled_basis(points)
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft"):
        np.testing.assert_array_equal(fitted[INDEX[name]], general[INDEX[name]])
    eyes = list(lm.LEFT_EYE + lm.RIGHT_EYE)
    moved = fitted[INDEX["mouthPucker"], eyes] - general[INDEX["mouthPucker"], eyes]
    assert np.abs(moved).max() < 0.5


def test_no_lip_is_pushed_over_the_skin_beside_it() -> None:
    neutral = load_avatar(BUNDLED / "james").arrays.neutral_landmarks
    shapes = fitted_shapes(neutral)
    wide_o = neutral + 0.5 * shapes[INDEX["jawOpen"]] + 0.6 * shapes[INDEX["mouthPucker"]]
    wide_o += 0.3 * shapes[INDEX["mouthFunnel"]]
    for lip, skin in ((17, 18), (84, 83), (314, 313), (0, 164), (37, 167), (267, 393)):
        before = neutral[skin, 1] - neutral[lip, 1]
        after = wide_o[skin, 1] - wide_o[lip, 1]
        assert after / before > 0.15, (lip, skin)
