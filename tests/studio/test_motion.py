"""The idle loop's motion, before anything is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from studio.arkit import SHAPES
from studio.characters import CHARACTERS
from studio.motion import FRAME_RATE_HZ, IDLES, Idle

LOOPS = pytest.mark.parametrize("idle", IDLES.values(), ids=list(IDLES))


@LOOPS
def test_the_loop_lasts_8_to_12_seconds_and_ends_where_it_began(idle: Idle) -> None:
    assert 8 <= idle.seconds <= 12
    first, again = idle.pose(0.0), idle.pose(idle.seconds)
    np.testing.assert_allclose(first.weights, again.weights, atol=1e-9)
    np.testing.assert_allclose(first.rotation, again.rotation, atol=1e-9)
    assert first.breath == pytest.approx(again.breath, abs=1e-6)


@LOOPS
def test_blinks_take_150_to_200_ms_and_come_at_uneven_times(idle: Idle) -> None:
    fine = np.arange(0, idle.seconds, 0.001)
    shut = np.array([idle.closure(float(time)) for time in fine]) > 0
    edges = np.flatnonzero(np.diff(shut.astype(int)))
    lengths = (edges[1::2] - edges[::2]) * 1.0
    assert len(lengths) == len(idle.blinks) >= 3
    assert lengths.min() >= 150
    assert lengths.max() <= 200
    gaps = np.diff([*idle.blinks, idle.blinks[0] + idle.seconds])
    assert gaps.max() / gaps.min() > 1.3


@LOOPS
def test_every_blink_shows_a_shut_eye_in_some_frame(idle: Idle) -> None:
    closure = np.array([idle.closure(index / FRAME_RATE_HZ) for index in range(idle.frames)])
    for blink in idle.blinks:
        first = round(blink * FRAME_RATE_HZ)
        assert closure[first - 1 : first + 6].max() > 0.9


@LOOPS
def test_the_head_sways_a_little_and_the_mouth_stays_shut(idle: Idle) -> None:
    poses = idle.poses()
    rotation = np.array([pose.rotation for pose in poses])
    assert 0.5 < np.ptp(rotation, axis=0).max() < 6
    weights = np.array([pose.weights for pose in poses])
    mouth = [name.startswith(("mouth", "jaw", "tongue")) for name in SHAPES]
    assert np.abs(weights[:, mouth]).max() == 0


def test_every_presenter_has_a_loop() -> None:
    assert set(IDLES) == set(CHARACTERS)
