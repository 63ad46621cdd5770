from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.media.encode import EncodedPicture
from ditto_avatar.media.opus import PACKET_SAMPLES, silent_packet
from ditto_avatar.media.packets import SegmentPackets
from ditto_avatar.transport.rtc.playhead import Placed, Playhead, Sending
from ditto_avatar.types import SAMPLES_PER_FRAME

SOUND = np.full(SAMPLES_PER_FRAME, 0.1, np.float32)


def add(packets: SegmentPackets, count: int) -> None:
    for _ in range(count):
        number = len(packets)
        name = f"{packets.segment}{number}".encode()
        packets.hear(np.tile(SOUND, number + 1), complete=False)
        packets.add(EncodedPicture(name, key=number % 25 == 0), number)


def spoken(name: str, count: int) -> SegmentPackets:
    packets = SegmentPackets(name)
    add(packets, count)
    packets.close()
    return packets


def loop(count: int = 10) -> list[EncodedPicture]:
    return [EncodedPicture(f"i{i}".encode(), key=i % 5 == 0) for i in range(count)]


def shown(sent: list[Sending]) -> list[str]:
    return [s.picture.data.decode() for s in sent if s.picture is not None]


def play(playhead: Playhead, ticks: range) -> list[Sending]:
    return [playhead.tick(number) for number in ticks]


def test_silence_flows_while_nobody_speaks() -> None:
    sent = play(Playhead(), range(6))
    assert {s.sound for s in sent} == {silent_packet()}
    assert shown(sent) == []


def test_a_picture_goes_with_its_own_sound() -> None:
    playhead = Playhead()
    packets = spoken("a", 3)
    playhead.expect(packets)
    sent = play(playhead, range(8))
    assert [s.picture is not None for s in sent] == [True, False] * 3 + [False, False]
    assert [s.sound for s in sent[:6]] == [packets.sound(n) for n in range(6)]
    assert sent[6].sound == silent_packet()
    assert not playhead.speaking


def test_a_sentence_begins_once_enough_pictures_lie_ready() -> None:
    playhead = Playhead(start_frames=3)
    packets = SegmentPackets("a")
    add(packets, 2)
    playhead.expect(packets)
    assert shown(play(playhead, range(4))) == []
    add(packets, 1)
    assert shown(play(playhead, range(4, 8))) == ["a0", "a1"]


def test_a_short_sentence_that_is_complete_begins_at_once() -> None:
    playhead = Playhead(start_frames=3)
    playhead.expect(spoken("a", 1))
    assert shown(play(playhead, range(2))) == ["a0"]


def test_the_next_sentence_follows_without_a_gap() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 2))
    playhead.expect(spoken("b", 2))
    sent = play(playhead, range(8))
    assert shown(sent) == ["a0", "a1", "b0", "b1"]
    assert [s.placed for s in sent if s.placed] == [
        Placed("a", 0, 0, 2),
        Placed("b", 0, 4, 2),
    ]


def test_an_empty_segment_is_passed_over() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 0))
    playhead.expect(spoken("b", 1))
    assert shown(play(playhead, range(4))) == ["b0"]


def test_missing_pictures_move_the_rest_and_the_new_place_is_told() -> None:
    playhead = Playhead()
    packets = SegmentPackets("a")
    add(packets, 3)
    playhead.expect(packets)
    sent = play(playhead, range(10))
    assert shown(sent) == ["a0", "a1", "a2"]
    assert {s.sound for s in sent[6:]} == {silent_packet()}
    assert playhead.underruns == 1
    add(packets, 1)
    # A gap of one picture would be followed by the next: some are waited for.
    assert shown(play(playhead, range(10, 12))) == []
    packets.close()
    later = play(playhead, range(12, 14))
    assert later[0].placed == Placed("a", 3, 12, 4)
    assert later[0].sound == packets.sound(6)


def test_after_a_gap_more_pictures_lie_ready_each_time() -> None:
    playhead = Playhead(start_frames=1)
    packets = SegmentPackets("a")
    add(packets, 1)
    playhead.expect(packets)
    play(playhead, range(4))
    add(packets, 1)
    assert shown(play(playhead, range(4, 6))) == []
    add(packets, 1)
    assert shown(play(playhead, range(6, 12))) == ["a1", "a2"]
    add(packets, 3)
    assert shown(play(playhead, range(12, 14))) == []
    add(packets, 1)
    assert shown(play(playhead, range(14, 16))) == ["a3"]
    assert playhead.underruns == 2


def test_a_sentence_after_gaps_waits_for_more_pictures_until_there_are_none_again() -> None:
    playhead = Playhead(start_frames=1)
    slow = SegmentPackets("a")
    add(slow, 1)
    playhead.expect(slow)
    play(playhead, range(4))
    assert playhead.underruns == 1
    add(slow, 2)
    slow.close()
    play(playhead, range(4, 10))
    assert not playhead.speaking
    next_one = SegmentPackets("b")
    add(next_one, 1)
    playhead.expect(next_one)
    assert shown(play(playhead, range(10, 14))) == []
    add(next_one, 1)
    next_one.close()
    assert shown(play(playhead, range(14, 20))) == ["b0", "b1"]
    third = SegmentPackets("c")
    add(third, 1)
    playhead.expect(third)
    assert shown(play(playhead, range(20, 22))) == ["c0"]


def test_the_length_is_told_as_soon_as_it_is_known() -> None:
    playhead = Playhead()
    packets = SegmentPackets("a")
    add(packets, 5)
    playhead.expect(packets)
    assert playhead.tick(0).placed == Placed("a", 0, 0, None)
    playhead.tick(1)
    packets.close()
    assert playhead.tick(2).placed == Placed("a", 1, 2, 5)


@pytest.mark.parametrize("left_out", [4, 5, 7])
def test_ticks_that_were_left_out_move_the_rest(left_out: int) -> None:
    playhead = Playhead()
    packets = spoken("a", 8)
    playhead.expect(packets)
    play(playhead, range(4))
    sent = play(playhead, range(4 + left_out, 20 + left_out))
    assert shown(sent) == ["a2", "a3", "a4", "a5", "a6", "a7"]
    place = next(s.placed for s in sent if s.placed)
    assert (place.frame, place.tick) == (2, 4 + left_out)
    sounds = [s.sound for s in sent if s.picture is not None]
    assert sounds == [packets.sound(2 * n) for n in range(2, 8)]


def led(name: str, lead: int, count: int) -> SegmentPackets:
    """A segment whose sound begins with so many silent packets."""
    packets = SegmentPackets(name)
    sound = np.tile(SOUND, count)
    sound[: lead * PACKET_SAMPLES] = 0
    packets.hear(sound, complete=True)
    for number in range(count):
        packets.add(EncodedPicture(f"{name}{number}".encode(), key=number == 0), number)
    packets.close()
    return packets


def test_sound_goes_ahead_of_its_picture_and_the_silence_before_it_is_left_out() -> None:
    playhead = Playhead(sound_ahead=7)
    packets = led("a", 7, 8)
    playhead.expect(packets)
    sent = play(playhead, range(18))
    assert shown(sent[:1]) == ["a0"]
    assert shown(sent) == [f"a{number}" for number in range(8)]
    assert [s.sound for s in sent[:9]] == [packets.sound(n) for n in range(7, 16)]
    assert {s.sound for s in sent[9:]} == {silent_packet()}


def test_no_sound_is_left_out_that_can_be_heard() -> None:
    playhead = Playhead(sound_ahead=7)
    packets = led("a", 2, 8)
    playhead.expect(packets)
    sent = play(playhead, range(8))
    assert [s.sound for s in sent] == [packets.sound(n) for n in range(2, 10)]
    assert shown(sent[:5]) == []
    assert sent[5].placed == Placed("a", 0, 5, 8)


def test_a_sentence_waits_for_the_sound_that_goes_ahead_of_its_picture() -> None:
    playhead = Playhead(sound_ahead=7)
    packets = SegmentPackets("a")
    packets.add(EncodedPicture(b"a0", key=True))
    packets.hear(np.zeros(8 * PACKET_SAMPLES, np.float32), complete=False)
    playhead.expect(packets)
    assert shown(play(playhead, range(3))) == []
    packets.hear(np.zeros(9 * PACKET_SAMPLES, np.float32), complete=False)
    assert shown(play(playhead, range(3, 5))) == ["a0"]


def test_pictures_wait_where_their_sound_is_late() -> None:
    playhead = Playhead(sound_ahead=4)
    packets = SegmentPackets("a")
    packets.hear(np.zeros(6 * PACKET_SAMPLES, np.float32), complete=False)
    for number in range(3):
        packets.add(EncodedPicture(f"a{number}".encode(), key=number == 0))
    playhead.expect(packets)
    assert shown(play(playhead, range(6))) == ["a0"]
    packets.hear(np.zeros(10 * PACKET_SAMPLES, np.float32), complete=True)
    packets.close()
    sent = play(playhead, range(6, 10))
    assert shown(sent) == ["a1", "a2"]
    assert sent[0].placed == Placed("a", 1, 6, 3)


def test_a_sentence_begins_on_any_tick_and_its_pictures_are_two_ticks_apart() -> None:
    playhead = Playhead()
    play(playhead, range(3))
    playhead.expect(spoken("a", 2))
    sent = play(playhead, range(3, 8))
    assert [s.picture is not None for s in sent] == [True, False, True, False, False]
    assert sent[0].placed == Placed("a", 0, 3, 2)


def test_an_interruption_leaves_nothing_of_what_was_expected() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 5))
    playhead.expect(spoken("b", 5))
    play(playhead, range(3))
    playhead.clear()
    sent = play(playhead, range(3, 9))
    assert shown(sent) == []
    assert {s.sound for s in sent} == {silent_packet()}
    playhead.expect(spoken("c", 1))
    assert shown(play(playhead, range(9, 12))) == ["c0"]


def test_the_idle_loop_warms_up_a_connection_and_then_rests() -> None:
    playhead = Playhead(idle_ticks=6)
    playhead.loop(loop())
    assert shown(play(playhead, range(12))) == ["i0", "i1", "i2"]


def test_the_idle_loop_goes_on_close_to_where_a_sentence_ended() -> None:
    playhead = Playhead(idle_ticks=None)
    playhead.loop(loop())
    playhead.expect(spoken("a", 3))
    # The last idle frame of the sentence is 2: the next key picture after it is 5.
    assert shown(play(playhead, range(24)))[:5] == ["a0", "a1", "a2", "i5", "i6"]


def test_a_lost_picture_is_answered_by_a_bridge_once_in_half_a_second() -> None:
    playhead = Playhead()
    packets = spoken("a", 60)
    playhead.expect(packets)
    play(playhead, range(10))
    wanted = playhead.key_wanted()
    assert wanted is not None
    assert wanted.at == 9
    assert playhead.key_wanted() is None
    made = {n: EncodedPicture(f"bridge{n}".encode(), key=n == 9) for n in range(9, 25)}
    assert playhead.cross(wanted, made)
    sent = shown(play(playhead, range(10, 60)))
    assert sent[:5] == ["a5", "a6", "a7", "a8", "bridge9"]
    assert sent[20:] == ["a25", "a26", "a27", "a28", "a29"]
    assert playhead.key_wanted() is not None


def test_no_bridge_is_built_where_a_key_picture_is_near() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 60))
    play(playhead, range(44))
    assert playhead.key_wanted() is None


def test_a_bridge_that_comes_too_late_is_not_used() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 60))
    play(playhead, range(10))
    wanted = playhead.key_wanted()
    assert wanted is not None
    play(playhead, range(10, 30))
    assert not playhead.cross(wanted, {})


def test_no_bridge_is_built_while_nothing_is_spoken() -> None:
    playhead = Playhead()
    play(playhead, range(4))
    assert playhead.key_wanted() is None


def test_only_the_first_picture_after_a_pause_is_to_be_seen_at_once() -> None:
    playhead = Playhead()
    playhead.expect(spoken("a", 3))
    playhead.expect(spoken("b", 2))
    first = play(playhead, range(14))
    assert shown([s for s in first if s.at_once]) == ["a0"]
    playhead.expect(spoken("c", 2))
    again = play(playhead, range(14, 20))
    assert shown([s for s in again if s.at_once]) == ["c0"]


def test_a_sentence_that_follows_the_idle_loop_at_once_is_shown_as_usual() -> None:
    playhead = Playhead(idle_ticks=None)
    playhead.loop(loop())
    play(playhead, range(4))
    playhead.expect(spoken("a", 2))
    assert not playhead.begins
    assert not any(s.at_once for s in play(playhead, range(4, 10)))


def test_a_sentence_begins_only_where_nobody_speaks_and_its_first_picture_is_there() -> None:
    playhead = Playhead()
    assert not playhead.begins
    packets = SegmentPackets("a")
    playhead.expect(packets)
    assert not playhead.begins
    add(packets, 1)
    assert playhead.begins
    playhead.expect(spoken("b", 2))
    playhead.tick(0)
    assert not playhead.begins
