from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.geometry import rotations


def test_a_turn_and_its_scale_are_found_wherever_the_points_are() -> None:
    rest = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]],
        np.float32,
    )
    moved = np.stack([rest, 1.5 * rest @ turn.T + np.float32(7)])
    found, scales = rotations(rest, moved)
    assert found[0] == pytest.approx(np.eye(3), abs=1e-5)
    assert found[1] == pytest.approx(turn, abs=1e-5)
    assert scales == pytest.approx([1.0, 1.5], abs=1e-5)


def test_a_mirrored_face_is_turned_and_never_mirrored() -> None:
    rest = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)
    found, _ = rotations(rest, (rest * np.array([-1, 1, 1], np.float32))[None])
    assert np.linalg.det(found[0]) == pytest.approx(1.0, abs=1e-5)
