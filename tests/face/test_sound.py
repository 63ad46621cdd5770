"""What a face listens to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ditto_avatar.errors import InvalidAudio
from ditto_avatar.face.sound import checked_audio


def test_good_sound_is_copied_as_it_is() -> None:
    sound = np.array([0, 0.5, -1], np.float32)
    found = checked_audio(sound)
    assert found.dtype == np.float32
    assert np.array_equal(found, sound)
    assert not np.shares_memory(found, sound)


def test_loud_and_double_sound_is_brought_into_range() -> None:
    found = checked_audio(np.array([3.0, -2.0, 0.25]))
    assert found.dtype == np.float32
    assert found.tolist() == [1, -1, 0.25]


@pytest.mark.parametrize(
    ("sound", "came"),
    [
        (np.zeros((2, 640), np.float32), r"\(2, 640\) float32"),
        (np.zeros(640, np.int16), r"\(640,\) int16"),
        ([0.0], "list"),
        (np.array([0, np.nan], np.float32), "NaN"),
        (np.array([0, -np.inf], np.float32), "infinity"),
    ],
)
def test_anything_else_is_refused_with_what_came(sound: Any, came: str) -> None:
    with pytest.raises(InvalidAudio, match=came):
        checked_audio(sound)
