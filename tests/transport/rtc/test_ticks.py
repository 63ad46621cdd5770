from __future__ import annotations

from ditto_avatar.transport.rtc.ticks import Ticks, sound_ahead


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


def test_sound_goes_as_much_ahead_as_a_page_keeps_it_longer_than_pictures() -> None:
    assert [sound_ahead(delay_ms) for delay_ms in (0, 20, 120, 200)] == [0, 0, 5, 9]
    assert 1 <= sound_ahead(None) <= 3
