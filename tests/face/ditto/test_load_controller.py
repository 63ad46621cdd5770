"""Quality gives way when frames are late, in a stated order, and comes back."""

from __future__ import annotations

import pytest

from ditto_avatar.face.ditto.load_controller import Capacity, LoadController, Quality, levels


def watch(load_controller: LoadController, begin: float, seconds: float, lateness: float) -> float:
    """25 frames a second, all as late as that; returns the time afterwards."""
    for index in range(int(seconds * 25)):
        load_controller.observe(begin + index / 25, lateness)
    return begin + seconds


def test_steps_go_first_and_overlap_last() -> None:
    assert levels(10, 70) == (Quality(10, 70), Quality(5, 70), Quality(4, 70), Quality(4, 60))
    assert levels(50, 70)[1:] == (Quality(25, 70), Quality(4, 70), Quality(4, 60))
    assert levels(4, 40) == (Quality(4, 40),)


def test_early_frames_change_nothing() -> None:
    load_controller = LoadController(levels(10, 70))
    watch(load_controller, 0, 60, -0.3)
    assert load_controller.quality == Quality(10, 70)


def test_late_frames_cost_quality_level_by_level() -> None:
    load_controller = LoadController(levels(10, 70))
    now = watch(load_controller, 0, 0.1, 0.05)
    assert load_controller.level == 1
    now = watch(load_controller, now, 1.8, 0.05)
    assert load_controller.level == 1, "a change is given two seconds to work"
    now = watch(load_controller, now, 0.4, 0.05)
    assert load_controller.level == 2
    watch(load_controller, now, 60, 0.05)
    assert load_controller.quality == Quality(4, 60)


def test_a_single_late_frame_is_forgiven() -> None:
    load_controller = LoadController(levels(10, 70))
    now = watch(load_controller, 0, 2, -0.3)
    load_controller.observe(now, 0.5)
    watch(load_controller, now, 2, -0.3)
    assert load_controller.level == 0


def test_quality_comes_back_after_ten_calm_seconds() -> None:
    load_controller = LoadController(levels(10, 70))
    now = watch(load_controller, 0, 2.1, 0.05)
    assert load_controller.level == 2
    now = watch(load_controller, now, 9.5, -0.3)
    assert load_controller.level == 2
    now = watch(load_controller, now, 1, -0.3)
    assert load_controller.level == 1
    watch(load_controller, now, 10.5, -0.3)
    assert load_controller.level == 0


def test_frames_that_are_barely_in_time_bring_nothing_back() -> None:
    load_controller = LoadController(levels(10, 70))
    now = watch(load_controller, 0, 0.1, 0.05)
    watch(load_controller, now, 60, -0.02)
    assert load_controller.level == 1


@pytest.mark.parametrize(
    ("frame_ms", "clip_ms", "streams"),
    [(2.0, 5.0, 13), (2.0, 0.0, 17), (100.0, 100.0, 1)],
)
def test_capacity_is_what_the_device_has_time_for(
    frame_ms: float, clip_ms: float, streams: int
) -> None:
    assert Capacity(frame_ms / 1000, clip_ms / 1000).streams(10) == streams
