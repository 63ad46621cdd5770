from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.register.checks import examine
from ditto_avatar.face.register.findings import NOTES, REMEDIES, Finding, Reason
from ditto_avatar.face.register.tracker import FaceTracker
from ditto_avatar.types import ByteArray, FloatArray

DARK = (25, 25, 28)


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker()


def still(name: str) -> tuple[ByteArray, FloatArray]:
    avatar = load_avatar(BUNDLED / name)
    picture = cv2.cvtColor(avatar.idle_frames[0], cv2.COLOR_YUV2RGB_I420)
    return np.asarray(picture, np.uint8), avatar.arrays.landmarks[0, :, :2]


def two(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.concatenate([picture, picture[:, ::-1]], axis=1)


def smaller(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.asarray(cv2.resize(picture, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA))


def soft(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.asarray(cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))


def cut_off(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.ascontiguousarray(picture[:, round(float(points[:, 0].min()) + 35) :])


def dark(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.asarray(picture * 0.2, np.uint8)


def blown_out(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.asarray(np.clip(picture * 2.2, 0, 255), np.uint8)


def blurred(picture: ByteArray, points: FloatArray) -> ByteArray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)


def masked(picture: ByteArray, points: FloatArray) -> ByteArray:
    lips = points[list(lm.OUTER_LIPS)]
    cloth = (lips - lips.mean(0)) * (1.5, 2.6) + lips.mean(0)
    return np.asarray(cv2.fillPoly(picture.copy(), [cloth.astype(np.int32)], (150, 190, 215)))


def with_discs(thickness: int) -> Callable[[ByteArray, FloatArray], ByteArray]:
    def draw(picture: ByteArray, points: FloatArray) -> ByteArray:
        drawn = picture.copy()
        eyes = [points[list(eye)].mean(0).astype(int) for eye in (lm.RIGHT_EYE, lm.LEFT_EYE)]
        for x, y in eyes:
            cv2.ellipse(drawn, (int(x), int(y)), (40, 30), 0, 0, 360, DARK, thickness)
        ends = [(int(eyes[0][0]) + 38, int(eyes[0][1])), (int(eyes[1][0]) - 38, int(eyes[1][1]))]
        cv2.line(drawn, ends[0], ends[1], DARK, 3)
        return drawn

    return draw


SPOILED = {
    Reason.TWO_FACES: two,
    Reason.SMALL: smaller,
    Reason.SOFT: soft,
    Reason.CUT_OFF: cut_off,
    Reason.DARK: dark,
    Reason.BLOWN_OUT: blown_out,
    Reason.BLURRED: blurred,
    Reason.MOUTH_COVERED: masked,
    Reason.EYES_COVERED: with_discs(-1),
    Reason.GLASSES: with_discs(3),
}


@pytest.mark.parametrize("name", ["james", "mina", "sofia"])
def test_nothing_is_wrong_with_a_good_picture(tracker: FaceTracker, name: str) -> None:
    assert examine(still(name)[0], tracker).findings == ()


@pytest.mark.parametrize("reason", SPOILED)
def test_each_defect_has_its_own_reason(tracker: FaceTracker, reason: Reason) -> None:
    found = examine(SPOILED[reason](*still("sofia")), tracker)
    assert Finding(reason) in found.findings
    assert bool(found.blocking) is (reason not in NOTES)


def test_hair_over_one_eye_covers_it(tracker: FaceTracker) -> None:
    picture, points = still("mina")
    covered = picture.copy()
    x, y = points[list(lm.RIGHT_EYE)].mean(0).astype(int)
    cv2.ellipse(covered, (int(x) - 10, int(y)), (50, 75), 20, 0, 360, DARK, -1)
    assert Finding(Reason.EYES_COVERED) in examine(covered, tracker).findings


@pytest.mark.parametrize("name", ["james", "mina", "sofia"])
def test_a_lock_over_one_eye_alone_covers_it(tracker: FaceTracker, name: str) -> None:
    picture, points = still(name)
    covered = picture.copy()
    x, y = points[list(lm.RIGHT_EYE)].mean(0).astype(int)
    lock = [
        int(value)
        for value in np.median(picture[int(y) - 30 : int(y) - 26, x - 12 : x + 12], (0, 1))
    ]
    cv2.ellipse(covered, (int(x) - 4, int(y) - 6), (46, 22), 12, 0, 360, lock, -1)
    assert Finding(Reason.EYES_COVERED) in examine(covered, tracker).findings


@pytest.mark.parametrize("name", ["james", "mina", "sofia"])
def test_glasses_whose_frame_is_below_the_bridge_are_seen(tracker: FaceTracker, name: str) -> None:
    picture, points = still(name)
    drawn = picture.copy()
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        x, y = points[list(eye)].mean(0).astype(int)
        cv2.ellipse(drawn, (int(x), int(y) + 6), (44, 30), 0, 0, 360, (12, 12, 14), 4, cv2.LINE_AA)
    assert Finding(Reason.GLASSES) in examine(drawn, tracker).findings


def test_a_dark_face_in_the_light_of_one_lamp_is_found(tracker: FaceTracker) -> None:
    picture, _ = still("james")
    across = np.linspace(1.0, 0.3, picture.shape[1])[None, :, None]
    lit = np.clip((picture / 255) ** 1.6 * across * 255, 0, 255).astype(np.uint8)
    assert examine(lit, tracker).face is not None


def test_an_empty_picture_has_no_face(tracker: FaceTracker) -> None:
    assert examine(np.full((400, 400, 3), 90, np.uint8), tracker).findings == (
        Finding(Reason.NO_FACE),
    )


def test_every_reason_has_its_remedy_in_both_languages() -> None:
    for reason in Reason:
        assert REMEDIES[reason].keys() == {"en", "ko"}
    assert Finding(Reason.DARK).text("fr") == REMEDIES[Reason.DARK]["en"]
