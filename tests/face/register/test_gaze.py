from __future__ import annotations

import cv2
import numpy as np

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.register.gaze import gazes, look
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.types import ByteArray, FloatArray


def sofia() -> tuple[ByteArray, FloatArray]:
    avatar = load_avatar(BUNDLED / "sofia")
    picture = np.asarray(cv2.cvtColor(avatar.idle_frames[0], cv2.COLOR_YUV2RGB_I420), np.uint8)
    return picture, avatar.arrays.landmarks[0]


def test_irises_turn_and_lids_stay() -> None:
    picture, points = sofia()
    turned, moved = look(picture, points, np.array([0.5, 0.0], np.float32))
    tracker = FaceTracker()
    before, after = tracker.track(picture), tracker.track(turned)
    assert before is not None
    assert after is not None
    for centre in (468, 473):
        asked = moved[centre, 0] - points[centre, 0]
        seen = after.points[centre, 0] - before.points[centre, 0]
        assert asked > 2
        assert 0.5 * asked < seen < 1.5 * asked
    skin = np.full(picture.shape[:2], 255, np.uint8)
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        cv2.fillPoly(skin, [np.round(points[list(eye), :2]).astype(np.int32)], 0)
    skin = np.asarray(cv2.erode(skin, np.ones((9, 9))), np.uint8)
    np.testing.assert_array_equal(turned[skin > 0], picture[skin > 0])
    np.testing.assert_array_equal(moved[:468], points[:468])


def test_eyes_look_into_the_camera_at_both_ends_and_mostly() -> None:
    found = gazes(np.random.default_rng(3), 250)
    aside = np.asarray(np.abs(found).max(axis=1) > 0)
    assert not aside[:25].any()
    assert not aside[-12:].any()
    assert 0.05 < aside.mean() < 0.5
