from __future__ import annotations

import cv2
import numpy as np
import pytest

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.register.eyelids import Eyelids
from ditto_avatar.types import FloatArray


@pytest.fixture(scope="module", params=["james", "sofia"])
def lids(request: pytest.FixtureRequest) -> Eyelids:
    avatar = load_avatar(BUNDLED / request.param)
    picture = cv2.cvtColor(avatar.idle_frames[0], cv2.COLOR_YUV2RGB_I420)
    return Eyelids(np.asarray(picture, np.uint8), avatar.arrays.landmarks[0])


def whites(lids: Eyelids, closure: float) -> FloatArray:
    """How bright what is seen of each eye is (2,), against the same place in the picture."""
    picture, drawn = (lids.shut(amount).astype(np.float32).mean(axis=2) for amount in (0, closure))
    points, found = lids.points(closure), []
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        seen = np.zeros(drawn.shape, np.uint8)
        cv2.fillPoly(seen, [np.round(points[list(eye), :2]).astype(np.int32)], 1)
        found.append(np.percentile(drawn[seen > 0], 90) / np.percentile(picture[seen > 0], 90))
    return np.array(found, np.float32)


@pytest.mark.parametrize("closure", [0.5, 0.7])
def test_lids_that_close_shade_the_eye(lids: Eyelids, closure: float) -> None:
    # A white slit is what one sees of a bad blink, most on dark skin.
    assert (whites(lids, closure) < 0.85).all()


def test_eyes_that_only_narrow_stay_as_bright(lids: Eyelids) -> None:
    assert (whites(lids, 0.1) > 0.95).all()
