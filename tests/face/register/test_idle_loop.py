from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.register.idle_loop import make_idle
from ditto_avatar.face.register.still import Still
from ditto_avatar.types import FloatArray


@lru_cache
def still(name: str) -> Still:
    avatar = load_avatar(BUNDLED / name)
    picture = cv2.cvtColor(avatar.idle_frames[0], cv2.COLOR_YUV2RGB_I420)
    return Still(np.asarray(picture, np.uint8), avatar.arrays.landmarks[0])


def blinks(closure: FloatArray) -> list[int]:
    """The frames in which the eyes begin to shut."""
    shut = closure[:, 0] > 0
    return list(np.flatnonzero(shut & ~np.roll(shut, 1)))


def test_each_face_blinks_at_times_of_its_own() -> None:
    begun = [blinks(make_idle(still(name)).closure) for name in ("james", "mina", "sofia")]
    for index, times in enumerate(begun):
        assert 2 <= len(times) <= 4
        assert len(set(np.diff(times))) == len(times) - 1, "the blinks keep time"
        for others in begun[index + 1 :]:
            assert not set(times) & set(others)


def test_the_same_photo_makes_the_same_loop() -> None:
    one, again = make_idle(still("mina")), make_idle(still("mina"))
    assert np.array_equal(one.closure, again.closure)
    assert np.array_equal(one.points, again.points)


def test_the_loop_begins_again_where_the_head_hardly_moves() -> None:
    for name in ("james", "mina", "sofia"):
        points = make_idle(still(name)).points[:, 1, :2]
        steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
        assert steps[-1] < np.median(steps)
