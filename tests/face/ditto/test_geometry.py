"""Crops and eye values against the reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.ditto.geometry import (
    PORTRAIT,
    TRACK,
    CropRule,
    crop_matrix,
    cut_out,
    eye_values,
    inverse,
    transform,
)
from tests.face.ditto.reference import (
    NETWORK_TOLERANCE,
    FloatArray,
    distance,
    golden,
    normal,
)

RULES = {"track": TRACK, "portrait": PORTRAIT, "upright": CropRule(512, 2.3, -0.125, rotate=False)}


def landmarks(count: int) -> FloatArray:
    spread = np.array([35, 45], np.float32) * normal(f"landmarks{count}", count, 2)
    return np.array([320, 240], np.float32) + spread


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [106, 203])
def test_crops_lie_where_the_reference_lays_them(count: int, rule: str) -> None:
    matrix = inverse(crop_matrix(landmarks(count), RULES[rule]))
    assert distance(matrix, golden("geometry_audio")[f"crop{count}_{rule}_M_c2o"]) < 1e-5


def test_eye_values_are_the_reference_values() -> None:
    expected = golden("geometry_audio")
    points = (256 + 60 * normal("landmarks478", 2, 478, 3)).astype(np.float32)
    opening, pupils = eye_values(points)
    assert distance(opening, expected["eye_open"]) < NETWORK_TOLERANCE
    assert distance(pupils, expected["eye_ball"]) < NETWORK_TOLERANCE


def test_a_tilted_face_is_upright_in_its_crop() -> None:
    tilt = np.radians(30)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]], np.float32)
    points = landmarks(203)
    centre = points.mean(axis=0)
    tilted = (points - centre) @ turn.T + centre
    straight = transform(points, crop_matrix(points, PORTRAIT))
    assert np.allclose(transform(tilted, crop_matrix(tilted, PORTRAIT)), straight, atol=0.05)


def test_a_crop_shows_the_pixels_its_matrix_names() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[40:60, 20:40] = 200
    matrix = np.array([[2, 0, -40], [0, 2, -80], [0, 0, 1]], np.float32)
    crop = cut_out(picture, matrix, 40)
    assert (crop[2:-2, 2:-2] == 200).all()


def test_an_unknown_number_of_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="not 5"):
        crop_matrix(np.zeros((5, 2), np.float32), TRACK)
