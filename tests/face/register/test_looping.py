from __future__ import annotations

import numpy as np

from ditto_avatar.face.puppet.model import general_basis
from ditto_avatar.face.register.looping import FADE, loop_of
from ditto_avatar.types import FloatArray

NOBODY_BLINKS = np.zeros((200, 2), np.float32)


def swaying(count: int, period: float, drift: float = 0.0) -> FloatArray:
    """A face 200 px wide that goes to and fro, and away by `drift` px a frame."""
    neutral, _ = general_basis()
    points = np.repeat(neutral[None] * 200, count, axis=0).astype(np.float32)
    time = np.arange(count)
    points[..., 0] += (6 * np.sin(time / period * 2 * np.pi) + drift * time)[:, None]
    return points


def steps(points: FloatArray) -> FloatArray:
    turn = np.concatenate([points, points[:1]])
    result: FloatArray = np.linalg.norm(np.diff(turn, axis=0), axis=2).mean(axis=1)
    return result


def test_a_head_that_comes_back_loops_forwards() -> None:
    loop = loop_of(swaying(200, 60), NOBODY_BLINKS)
    played = [index for index, share in zip(loop.one, loop.share, strict=True) if share == 0]
    assert played == list(range(played[0], played[-1] + 1))
    assert steps(loop.points)[-1] < 1.5 * np.median(steps(swaying(200, 60)))


def test_its_end_fades_into_its_beginning() -> None:
    loop = loop_of(swaying(200, 60), NOBODY_BLINKS)
    pictures = [np.full((6, 4), index, np.uint8) for index in range(200)]
    levels = [int(picture[0, 0]) for picture in loop.mix(pictures)]
    first = levels[0] - FADE
    fade = levels[-FADE:]
    assert fade[0] > fade[-1]
    assert fade[-1] - (first + FADE - 1) <= 3
    assert np.abs(np.diff(fade)).max() < max(levels)


def test_a_head_that_goes_away_loops_forwards_and_back() -> None:
    loop = loop_of(swaying(100, 60, drift=1.0), NOBODY_BLINKS[:100])
    assert loop.one == [*range(100), *range(98, 0, -1)]
    assert not loop.share.any()


def test_no_fade_lies_in_a_blink() -> None:
    closure = NOBODY_BLINKS.copy()
    closure[:30] = closure[-40:] = 1
    loop = loop_of(swaying(200, 60), closure)
    fading = [i for i, share in zip(loop.other, loop.share, strict=True) if share > 0]
    assert fading
    assert not closure[fading].any()
    assert loop.closure.max() == 0
