from __future__ import annotations

from ditto_avatar.transport.rtc.ticks import Ticks


def test_each_tick_is_due_once() -> None:
    ticks = Ticks(10.0)
    assert list(ticks.due(10.0)) == [0]
    assert list(ticks.due(10.01)) == []
    assert ticks.next_at == 10.02
    assert list(ticks.due(10.045)) == [1, 2]


def test_what_is_a_little_late_is_caught_up() -> None:
    ticks = Ticks(0.0)
    ticks.due(0.0)
    assert list(ticks.due(0.1)) == [1, 2, 3, 4, 5]
    assert ticks.skipped == 0


def test_what_is_very_late_is_left_out_and_never_sent_in_a_burst() -> None:
    ticks = Ticks(0.0)
    ticks.due(0.0)
    due = ticks.due(1.0)
    assert due.stop == 51
    assert len(due) == 5
    assert ticks.skipped == 45
