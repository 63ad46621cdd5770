from __future__ import annotations

import pytest

from ditto_avatar.session.idle_position import IdlePosition
from tests.fakes.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def position(clock: ManualClock) -> IdlePosition:
    return IdlePosition(clock)


def test_the_loop_goes_on_until_the_picture_is_painted(
    position: IdlePosition, clock: ManualClock
) -> None:
    position.report(10)
    clock.advance(2)
    assert position.at_arrival(250) == 10 + 50 + 5  # 0.2 s until it is painted


def test_it_starts_again_at_its_end(position: IdlePosition, clock: ManualClock) -> None:
    position.report(49)
    clock.advance(1)
    assert position.at_arrival(50) == (49 + 25 + 5) % 50
    position.report(130)
    assert position.at_arrival(50) == 35


def test_the_page_teaches_how_long_painting_takes(position: IdlePosition) -> None:
    position.report(0)
    for _ in range(40):
        position.painted(0.6)
    assert position.at_arrival(250) in (14, 15)


@pytest.mark.parametrize(("told_s", "frames"), [(-3.0, (0, 1)), (60.0, (24, 25))])
def test_what_cannot_be_is_not_believed_whole(
    position: IdlePosition, told_s: float, frames: tuple[int, int]
) -> None:
    position.report(0)
    for _ in range(40):
        position.painted(told_s)
    assert position.at_arrival(250) in frames
