"""When frames are wanted."""

from __future__ import annotations

import pytest

from ditto_avatar.face.ditto.deadlines import LEAD_S, Deadlines


def test_the_first_frame_is_wanted_soon_and_the_rest_at_their_pace() -> None:
    deadlines = Deadlines()
    deadlines.start_no_earlier(100.0, frame=0, unread=0)
    assert deadlines.of(0) == pytest.approx(100 + LEAD_S)
    assert deadlines.of(50) == pytest.approx(102 + LEAD_S)


def test_work_that_is_ahead_keeps_its_deadlines() -> None:
    deadlines = Deadlines()
    for second in range(3):
        deadlines.start_no_earlier(100 + 0.1 * second, frame=25 * second, unread=0)
    assert deadlines.of(75) == pytest.approx(103 + LEAD_S)


def test_sound_that_comes_late_moves_what_follows() -> None:
    deadlines = Deadlines()
    deadlines.start_no_earlier(100.0, frame=0, unread=0)
    deadlines.start_no_earlier(105.0, frame=10, unread=0)
    assert deadlines.of(10) == pytest.approx(105 + LEAD_S)
    assert deadlines.of(35) == pytest.approx(106 + LEAD_S)


def test_a_reader_who_paused_gets_no_precedence() -> None:
    """After ten seconds he comes back to a second of frames; others have none."""
    paused, other = Deadlines(), Deadlines()
    paused.start_no_earlier(100.0, frame=0, unread=0)
    paused.start_no_earlier(112.0, frame=30, unread=25)
    other.start_no_earlier(112.0, frame=0, unread=0)
    assert paused.of(30) == pytest.approx(other.of(0) + 1)
