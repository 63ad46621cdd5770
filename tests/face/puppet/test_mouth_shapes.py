"""Channels of the mouth as ARKit's shapes."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.puppet.arkit import INDEX, indices
from ditto_avatar.face.puppet.mouth_shapes import arkit_weights, beside_speech
from ditto_avatar.face.puppet.visemes import Channel
from ditto_avatar.types import FloatArray


def channels(**wishes: float) -> FloatArray:
    made = np.zeros(8, np.float32)
    for name, value in wishes.items():
        made[Channel[name.upper()]] = value
    return made


def test_nothing_asked_is_nothing_moved() -> None:
    assert not arkit_weights(channels()).any()


def test_the_jaw_opens_further_for_a_wider_vowel() -> None:
    jaw = [arkit_weights(channels(jaw=j))[INDEX["jawOpen"]] for j in (0.1, 0.4, 0.8)]
    assert 0 < jaw[0] < jaw[1] < jaw[2] <= 1


def test_closed_lips_undo_the_jaw_at_the_mouth() -> None:
    weights = arkit_weights(channels(jaw=0.6, close=1.0, lift=0.5))
    assert weights[INDEX["mouthClose"]] == pytest.approx(weights[INDEX["jawOpen"]])
    assert weights[list(indices("mouthUpperUp"))].max() == 0


def test_a_bite_shows_the_upper_teeth_on_the_lower_lip() -> None:
    weights = arkit_weights(channels(jaw=0.1, bite=1.0))
    assert weights[INDEX["mouthRollLower"]] > 0.3
    assert weights[list(indices("mouthUpperUp"))].min() > 0.2


def test_weights_stay_in_range_whatever_is_asked() -> None:
    weights = arkit_weights(np.ones(8, np.float32))
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_a_smile_lets_lips_close_and_round() -> None:
    smile = np.zeros(52, np.float32)
    smile[[*indices("mouthSmile"), *indices("mouthUpperUp")]] = 0.5
    assert beside_speech(smile, channels(close=1.0))[INDEX["mouthUpperUpLeft"]] == 0
    assert beside_speech(smile, channels(round=1.0))[INDEX["mouthSmileLeft"]] < 0.2
    assert np.array_equal(beside_speech(smile, channels(jaw=0.7)), smile)
