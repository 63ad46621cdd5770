from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.face.library import BUNDLED
from ditto_avatar.face.pack import load_avatar
from ditto_avatar.face.puppet import landmarks as lm
from ditto_avatar.face.puppet.arkit import INDEX
from ditto_avatar.face.puppet.inner_mouth import InnerMouth
from ditto_avatar.types import FloatArray

LIGHT = np.ones(3, np.float32)


@pytest.fixture(scope="module")
def face() -> tuple[FloatArray, FloatArray]:
    """The points of a face at rest, and their way when the jaw opens."""
    arrays = load_avatar(BUNDLED / "mina").arrays
    assert arrays.blendshapes is not None
    return arrays.neutral_landmarks[:, :2], arrays.blendshapes[INDEX["jawOpen"], :, :2]


def drawn(
    face: tuple[FloatArray, FloatArray], jaw: float, mouth: InnerMouth | None = None
) -> FloatArray:
    rest, opening = face
    shape = rest + opening * np.float32(jaw)
    x, y = (rest[list(lm.OUTER_LIPS)].min(0) - 10).astype(int)
    nodes = np.stack(np.meshgrid(np.arange(x, x + 110), np.arange(y, y + 110)), axis=2)
    inside = mouth or InnerMouth(rest, LIGHT)
    return inside.draw(nodes.astype(np.float32), shape, float(jaw * opening[14, 1]))


def rows_of_teeth(picture: FloatArray) -> list[int]:
    """Pixels rows that are white in the middle of the mouth."""
    middle = picture[:, 45:65].mean(1)
    return [int(y) for y in np.flatnonzero((middle.min(1) > 105) & (np.ptp(middle, axis=1) < 50))]


def test_the_upper_teeth_stay_where_they_are(face: tuple[FloatArray, FloatArray]) -> None:
    heights = []
    for jaw in (0.45, 0.6, 0.75):
        rows = rows_of_teeth(drawn(face, jaw))
        first = [y for y in rows if y < rows[0] + 12]
        heights.append((first[0], len(first)))
    assert np.ptp(heights, axis=0).max() <= 1


def test_the_lower_teeth_go_down_with_the_jaw(face: tuple[FloatArray, FloatArray]) -> None:
    lowest = [rows_of_teeth(drawn(face, jaw))[-1] for jaw in (0.4, 0.75)]
    assert lowest[1] - lowest[0] == pytest.approx(0.35 * face[1][14, 1], abs=2.5)


def test_less_light_makes_a_darker_mouth(face: tuple[FloatArray, FloatArray]) -> None:
    dim = InnerMouth(face[0], LIGHT * np.float32(0.5))
    assert drawn(face, 0.6, dim).mean() == pytest.approx(drawn(face, 0.6).mean() / 2, rel=0.02)


def test_yellow_teeth_stay_a_little_yellow(face: tuple[FloatArray, FloatArray]) -> None:
    white = np.array([205, 195, 150], np.float32)
    tinted = drawn(face, 0.6, InnerMouth(face[0], LIGHT, white))
    plain = drawn(face, 0.6)
    rows = rows_of_teeth(plain)[:4]
    ratio = tinted[rows, 50:60].mean((0, 1)) / plain[rows, 50:60].mean((0, 1))
    assert ratio[2] < 0.93 * ratio[0]
