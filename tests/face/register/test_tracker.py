from __future__ import annotations

import cv2
import numpy as np
import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.register.tracker import (
    FaceTracker,
    eye_closures,
    head_rotations,
    smoothed,
)
from ditto_avatar.types import ByteArray, FloatArray

FRAMES = range(0, 250, 25)


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker()


@pytest.fixture(scope="module", params=["james", "mina", "sofia"])
def presenter(request: pytest.FixtureRequest) -> Avatar:
    return load_avatar(BUNDLED / request.param)


@pytest.fixture(scope="module")
def still() -> ByteArray:
    return picture(load_avatar(BUNDLED / "sofia"), 0)


def picture(avatar: Avatar, frame: int) -> ByteArray:
    return np.asarray(cv2.cvtColor(avatar.idle_frames[frame], cv2.COLOR_YUV2RGB_I420), np.uint8)


def on_canvas(still: ByteArray, share: float, x: float = 0.1, y: float = 0.1) -> ByteArray:
    """`still` so small that its face has `share` of the width of a grey picture."""
    side = 1400
    width = round(share * side / 0.42)
    small = cv2.resize(still, (width, width * 5 // 4), interpolation=cv2.INTER_AREA)
    canvas = np.full((side, side, 3), 128, np.uint8)
    left, top = round(x * side), round(y * side)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def error_percent(points: FloatArray, exact: FloatArray, chosen: list[int]) -> float:
    size = np.linalg.norm(exact[lm.LEFT_EYE_OUTER, :2] - exact[lm.RIGHT_EYE_OUTER, :2])
    away = np.linalg.norm(points[chosen, :2] - exact[chosen, :2], axis=1)
    return float(100 * away.mean() / size)


def test_points_of_rendered_faces_are_found_where_they_are(
    presenter: Avatar, tracker: FaceTracker
) -> None:
    last = None
    skin, lips, irises = [], [], []
    for frame in FRAMES:
        face = tracker.track(picture(presenter, frame), last)
        assert face is not None
        last = face.points
        exact = presenter.arrays.landmarks[frame]
        skin.append(error_percent(last, exact, list(range(468))))
        lips.append(error_percent(last, exact, list(lm.LIPS)))
        irises.append(error_percent(last, exact, list(lm.IRISES)))
    assert np.mean(skin) < 2.5
    assert np.mean(lips) < 2.6
    assert np.mean(irises) < 2


@pytest.mark.parametrize("share", [0.25, 0.12, 0.08])
def test_a_face_is_found_at_every_size(
    tracker: FaceTracker, still: ByteArray, share: float
) -> None:
    faces = tracker.detect(on_canvas(still, share, x=0.15, y=0.05))
    assert len(faces) == 1


def test_two_faces_are_both_found(tracker: FaceTracker, still: ByteArray) -> None:
    assert len(tracker.detect(np.concatenate([still, still[:, ::-1]], axis=1))) == 2


def test_a_texture_is_no_face(tracker: FaceTracker) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (640, 512, 3)).astype(np.uint8)
    assert tracker.track(noise) is None


@pytest.mark.parametrize("degrees", [-30, 20])
def test_a_tilted_face_has_its_points_where_they_are(
    tracker: FaceTracker, still: ByteArray, degrees: float
) -> None:
    upright = tracker.track(still)
    matrix = cv2.getRotationMatrix2D((256, 260), degrees, 1.0)
    tilted = tracker.track(np.asarray(cv2.warpAffine(still, matrix, (512, 640)), np.uint8))
    assert upright is not None
    assert tilted is not None
    expected = upright.points.copy()
    expected[:, :2] = expected[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert error_percent(tilted.points, expected, list(range(478))) < 2
    (turn,) = head_rotations(tilted.points[None], upright.points)
    assert turn[2] == pytest.approx(-degrees, abs=3)


def test_a_film_blinks_where_its_person_does(tracker: FaceTracker) -> None:
    avatar = load_avatar(BUNDLED / "mina")
    exact = avatar.arrays.eye_closure
    assert exact is not None
    shut = int(np.argmax(exact[:, 0]))
    frames = range(max(0, shut - 12), shut + 13)
    found = [tracker.track(picture(avatar, frame)) for frame in frames]
    closures = eye_closures(np.stack([face.points for face in found if face is not None]))
    assert len(closures) == len(frames)
    assert closures[shut - frames[0]].min() > 0.7
    assert closures[0].max() < 0.4


def test_smoothing_keeps_the_way_and_takes_the_jitter() -> None:
    way = np.linspace(0, 60, 61, dtype=np.float32)[:, None, None] * np.ones((1, 478, 3))
    noisy = way + np.random.default_rng(1).normal(0, 1, way.shape)
    calm = smoothed(noisy.astype(np.float32))
    assert np.abs(calm[5:-5] - way[5:-5]).mean() < 0.5 * np.abs(noisy[5:-5] - way[5:-5]).mean()
