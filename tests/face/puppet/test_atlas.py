"""Which pictures of the mouth are shown."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.avatar import Avatar
from ditto_avatar.face.puppet.atlas import Mouth
from ditto_avatar.face.puppet.model import calibrated
from ditto_avatar.types import FloatArray
from tests.fakes.packs import ATLAS, JAW_OPEN, PUCKER


@pytest.fixture(scope="module")
def mouth(oval: Avatar) -> Mouth:
    assert oval.atlas is not None
    assert oval.arrays.blendshapes is not None
    return Mouth(oval.atlas, oval.arrays.neutral_landmarks, calibrated(oval.arrays.blendshapes))


def weights(**shapes: float) -> FloatArray:
    made = np.zeros(52, np.float32)
    for index, weight in ((JAW_OPEN, "jaw"), (PUCKER, "pucker")):
        made[index] = shapes.get(weight, 0.0)
    return made


@pytest.mark.parametrize("name", ["jaw20_neutral", "jaw70_neutral", "jaw20_round", "smile"])
def test_a_shape_of_the_atlas_is_shown_by_its_own_picture(mouth: Mouth, name: str) -> None:
    asked = np.zeros(52, np.float32)
    for index, weight in ATLAS[name].items():
        asked[index] = weight
    best, share = max(mouth.choose(asked), key=lambda pair: pair[1])
    assert list(ATLAS)[best] == name
    assert share > 0.8


def test_shares_sum_to_one_and_change_without_jumps(mouth: Mouth) -> None:
    before: dict[int, float] = {}
    for step in range(201):
        chosen = dict(mouth.choose(weights(jaw=step / 200, pucker=0.5 - step / 400)))
        assert sum(chosen.values()) == pytest.approx(1, abs=1e-5)
        assert len(chosen) <= 4
        if before:
            patches = chosen.keys() | before.keys()
            assert max(abs(chosen.get(k, 0) - before.get(k, 0)) for k in patches) < 0.2
        before = chosen


def test_a_picture_at_its_own_shape_is_not_bent(mouth: Mouth) -> None:
    index = list(ATLAS).index("jaw45_neutral")
    asked = weights(jaw=0.45)
    nodes = mouth.grid.nodes
    straight = (nodes - np.array(mouth.box[:2]) + 0.5) * mouth.scale - 0.5
    assert np.abs(mouth.sources(index, asked, nodes) - straight).max() < 0.5


def test_a_picture_is_pressed_shut_to_a_smaller_opening(mouth: Mouth) -> None:
    index = list(ATLAS).index("jaw45_neutral")
    x, y = 128.0, 200 + 30 * 0.3  # where the lower lip's inner edge is at 0.3
    column = np.array([[[x, y]]], np.float32)
    source = mouth.sources(index, weights(jaw=0.3), column)[0, 0]
    there = 200 + 30 * 0.45
    assert source[1] / mouth.scale[1] + mouth.box[1] == pytest.approx(there, abs=1.5)


def test_rest_is_no_opening(mouth: Mouth) -> None:
    assert mouth.opening(weights()) == 0
    assert mouth.opening(weights(jaw=0.5)) > 10
