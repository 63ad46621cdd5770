"""What the loudspeaker plays, as far as the server can know."""

from __future__ import annotations

import numpy as np
import pytest

from ditto_avatar.pipeline.sound import SegmentSound
from ditto_avatar.session.loudspeaker import Loudspeaker
from ditto_avatar.types import FloatArray
from tests.fakes.clock import ManualClock


def ramp(seconds: float, start: float = 0.0) -> FloatArray:
    """Samples that tell their own time: the n-th second is `start` + n."""
    return (start + np.arange(round(seconds * 16_000)) / 16_000).astype(np.float32)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def loudspeaker(clock: ManualClock) -> Loudspeaker:
    return Loudspeaker(clock)


def test_nothing_plays_before_the_first_sentence(loudspeaker: Loudspeaker) -> None:
    assert len(loudspeaker.played(2.0)) == 0
    assert loudspeaker.spoken(2.0) == ""


def test_the_pages_report_says_which_part_was_just_played(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One two.", SegmentSound(ramp(5)))
    clock.advance(3)
    loudspeaker.report("a", 2.0, ended=False)
    clock.advance(0.5)
    played = loudspeaker.played(1.0)
    assert len(played) == 16_000
    assert (played[0], played[-1]) == pytest.approx((1.5, 2.5), abs=0.001)
    assert loudspeaker.spoken(1.0) == "One two."


def test_before_a_sentence_there_is_silence(loudspeaker: Loudspeaker, clock: ManualClock) -> None:
    clock.advance(5)
    loudspeaker.begin("a", "One.", SegmentSound(ramp(5, start=1)))
    clock.advance(0.25)
    played = loudspeaker.played(1.0)
    assert not played[:12_000].any()
    assert played[12_000] == pytest.approx(1.0)


def test_sentences_without_a_report_follow_one_another(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One.", SegmentSound(ramp(2)))
    clock.advance(0.5)
    loudspeaker.begin("b", "Two.", SegmentSound(ramp(2, start=10)))
    clock.advance(2)
    played = loudspeaker.played(1.0)
    assert (played[7_999], played[8_001]) == pytest.approx((2.0, 10.0), abs=0.001)
    assert loudspeaker.spoken(1.0) == "One. Two."
    assert loudspeaker.spoken(0.4) == "Two."


def test_a_late_report_moves_the_sentences_behind_it(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One.", SegmentSound(ramp(2)))
    loudspeaker.begin("b", "Two.", SegmentSound(ramp(2, start=10)))
    clock.advance(1)
    loudspeaker.report("a", 0.0, ended=False)
    clock.advance(2.5)
    assert loudspeaker.played(0.1)[-1] == pytest.approx(10.5, abs=0.001)


def test_an_ended_sentence_is_silent_and_forgotten_in_time(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One.", SegmentSound(ramp(5)))
    clock.advance(2)
    loudspeaker.report("a", 2.0, ended=True)
    clock.advance(1)
    assert not loudspeaker.played(2.0)[16_001:].any()
    assert len(loudspeaker.played(0.5)) == 0
    clock.advance(20)
    loudspeaker.begin("b", "Two.", SegmentSound(ramp(1)))
    clock.advance(1)
    assert loudspeaker.spoken(60.0) == "Two."


def test_an_interruption_silences_what_plays_and_what_waits(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One.", SegmentSound(ramp(4)))
    loudspeaker.begin("b", "Two.", SegmentSound(ramp(4)))
    clock.advance(1)
    loudspeaker.stop()
    clock.advance(5)
    assert len(loudspeaker.played(4.5)) == 0
    assert loudspeaker.spoken(6.0) == "One."


def test_a_sentence_that_is_still_being_spoken_grows(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    sound = SegmentSound(ramp(0.5))
    loudspeaker.begin("a", "One.", sound)
    clock.advance(1)
    assert loudspeaker.played(1.0)[-1] == 0.0
    sound.add(ramp(3, start=0.5))
    assert loudspeaker.played(1.0)[-1] == pytest.approx(1.0, abs=0.001)


def test_a_report_about_somebody_elses_sentence_changes_nothing(
    loudspeaker: Loudspeaker, clock: ManualClock
) -> None:
    loudspeaker.begin("a", "One.", SegmentSound(ramp(2)))
    loudspeaker.report("z", 1.0, ended=True)
    clock.advance(1)
    assert loudspeaker.spoken(0.5) == "One."
