from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ditto_avatar.pipeline import progress
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session import turn as t
from ditto_avatar.transport import events
from ditto_avatar.types import Emotion

BEGAN = progress.SegmentBegan("s0", 0, "One two three four.", Emotion.HAPPY, 7, "video/mp4", 10.4)
CLIP = Clip("n", 0, "One two three four.", Emotion.HAPPY, 2.0, 7, 56)
INPUTS: dict[str, t.Input] = {
    "queued": t.Queued(2),
    "admitted": t.Admitted(),
    "reached": progress.Reached(progress.Milestone.FIRST_AUDIO, 10.3),
    "text": progress.TextArrived("Hi ", 10.2),
    "began": BEGAN,
    "fragment": progress.FragmentMade("s0", 0, b"abc", False, 10.5),
    "drawn": progress.SegmentDrawn("s0", 2.0),
    "clip": progress.ClipStored("s0", CLIP),
    "played": t.Played("s0", 0.9, False),
    "heard out": t.Played("s0", 2.0, True),
    "dropped": t.Dropped("s0", 0.9),
    "drifted": t.Drifted(-45.0),
    "playback ended": t.PlaybackEnded(17.0),
    "ended": progress.PipelineEnded(11.0),
    "failed": progress.PipelineFailed("provider_failed", "It broke.", 11.0),
    "troubled": progress.Troubled("storage_full", "No room."),
    "noticed": progress.Noticed("fallback", "Another one speaks."),
    "interrupt": t.Interrupt("user", 11.0),
}


def waiting() -> t.Turn:
    return t.Turn("t1", 3, "message", "hello", 10.0)


def thinking() -> t.Turn:
    turn = waiting()
    turn.handle(t.Admitted())
    return turn


def speaking() -> t.Turn:
    turn = thinking()
    turn.handle(progress.TextArrived("One two three four.", 10.2))
    turn.handle(BEGAN)
    return turn


def hearing() -> t.Turn:
    turn = speaking()
    turn.handle(progress.SegmentDrawn("s0", 2.0))
    turn.handle(progress.PipelineEnded(10.9))
    return turn


def finished() -> t.Turn:
    turn = hearing()
    turn.handle(t.PlaybackEnded(17.0))
    return turn


def interrupted() -> t.Turn:
    turn = speaking()
    turn.handle(t.Interrupt("user", 10.8))
    return turn


STATES: dict[str, Callable[[], t.Turn]] = {
    "waiting": waiting,
    "thinking": thinking,
    "speaking": speaking,
    "hearing": hearing,
    "finished": finished,
    "interrupted": interrupted,
}

# state → input → next state and the kinds of action; what is not listed changes nothing.
SEND, KEEP, SETTLE, CANCEL = "Send", "Keep", "Settle", "Cancel"
STOP = ("interrupted", [CANCEL, SEND, SETTLE])
FAIL = ("interrupted", [SEND, CANCEL, SEND, SETTLE])
TABLE: dict[str, dict[str, tuple[str, list[str]]]] = {
    "waiting": {
        "queued": ("waiting", [SEND]),
        "admitted": ("thinking", []),
        "troubled": ("waiting", [SEND]),
        "noticed": ("waiting", [SEND]),
        "failed": FAIL,
        "interrupt": STOP,
    },
    "thinking": {
        "text": ("thinking", [SEND]),
        "began": ("speaking", [SEND]),
        "ended": ("finished", [SETTLE]),
        "troubled": ("thinking", [SEND]),
        "noticed": ("thinking", [SEND]),
        "failed": FAIL,
        "interrupt": STOP,
    },
    "speaking": {
        "text": ("speaking", [SEND]),
        "began": ("speaking", [SEND]),
        "fragment": ("speaking", [SEND]),
        "clip": ("speaking", [KEEP]),
        "ended": ("hearing", [SETTLE]),
        "troubled": ("speaking", [SEND]),
        "noticed": ("speaking", [SEND]),
        "failed": FAIL,
        "interrupt": STOP,
    },
    "hearing": {
        "fragment": ("hearing", [SEND]),
        "clip": ("hearing", [KEEP]),
        "heard out": ("finished", [SETTLE]),
        "playback ended": ("finished", [SETTLE]),
        "troubled": ("hearing", [SEND]),
        "noticed": ("hearing", [SEND]),
        "failed": FAIL,
        "interrupt": STOP,
    },
    "finished": {},
    "interrupted": {},
}


@pytest.mark.parametrize(("state", "name"), list(itertools.product(STATES, INPUTS)))
def test_every_input_in_every_state(state: str, name: str) -> None:
    turn = STATES[state]()
    assert turn.phase.value == state
    actions = turn.handle(INPUTS[name])
    expected_phase, expected_actions = TABLE[state].get(name, (state, []))
    assert turn.phase.value == expected_phase
    assert [type(action).__name__ for action in actions] == expected_actions


def test_a_turn_begins_by_saying_so() -> None:
    turn = t.Turn("t1", 3, "say", "hello", 10.0, client_id="c9")
    assert turn.opening() == [t.Send(events.TurnStarted("t1", 3, "say", "hello", "c9"))]


def test_the_waterfall_counts_from_the_text_and_keeps_the_first_time() -> None:
    turn = speaking()
    turn.handle(progress.Reached(progress.Milestone.FIRST_AUDIO, 10.25))
    turn.handle(progress.Reached(progress.Milestone.FIRST_AUDIO, 10.9))
    turn.handle(progress.FragmentMade("s0", 0, b"abc", False, 10.45))
    turn.handle(progress.PipelineEnded(11.5))
    assert turn.timings_ms() == {
        "first_token": 200.0,
        "first_audio": 250.0,
        "first_fragment": 450.0,
        "finished": 1500.0,
    }


def test_the_answer_is_what_was_shown() -> None:
    turn = thinking()
    turn.handle(progress.TextArrived("One ", 10.1))
    turn.handle(progress.TextArrived("two.", 10.2))
    (settle,) = turn.handle(progress.PipelineEnded(10.5))
    assert isinstance(settle, t.Settle)
    assert [type(event) for event in settle.then] == [events.TurnFinished, events.TurnTimings]
    assert isinstance(settle.then[0], events.TurnFinished)
    assert settle.then[0].text == "One two."


def test_why_a_turn_was_interrupted_is_kept() -> None:
    stopped, failed = speaking(), speaking()
    stopped.handle(t.Interrupt("user", 11.0))
    failed.handle(progress.PipelineFailed("provider_failed", "It broke.", 11.0))
    assert (stopped.reason, failed.reason) == ("user", "provider_failed")


def test_an_interruption_keeps_the_words_that_were_played() -> None:
    turn = hearing()
    turn.handle(t.Played("s0", 1.0, False))
    turn.handle(t.Interrupt("user", 11.2))
    assert turn.heard == "One two"


def test_a_segment_played_to_its_end_was_heard_whole() -> None:
    turn = speaking()
    turn.handle(progress.SegmentDrawn("s0", 2.0))
    turn.handle(progress.SegmentBegan("s1", 1, "Five six.", Emotion.NEUTRAL, 57, "video/mp4", 10.6))
    turn.handle(progress.SegmentDrawn("s1", 1.0))
    turn.handle(t.Played("s0", 2.0, True))
    turn.handle(t.Played("s1", 0.6, False))
    turn.handle(t.Interrupt("user", 13.1))
    assert turn.heard == "One two three four. Five"


def test_without_reports_the_time_says_what_was_heard() -> None:
    turn = hearing()
    turn.handle(t.Interrupt("user", 10.4 + 1.5))
    assert turn.heard == "One two three"


def test_nothing_was_heard_of_a_turn_that_had_not_begun_to_speak() -> None:
    turn = thinking()
    turn.handle(progress.TextArrived("One two", 10.1))
    turn.handle(t.Interrupt("user", 10.2))
    assert turn.heard == ""


def test_a_turn_heard_to_its_end_is_finished_without_waiting() -> None:
    turn = hearing()
    turn.handle(t.Played("s0", 2.0, True))
    assert turn.phase is t.Phase.FINISHED
    assert turn.heard is None


@pytest.mark.parametrize("state", ["speaking", "hearing"])
def test_a_segment_that_was_dropped_was_heard_that_far_only(state: str) -> None:
    turn = STATES[state]()
    turn.handle(progress.SegmentDrawn("s0", 2.0))
    turn.handle(t.Played("s0", 1.4, False))
    turn.handle(t.Dropped("s0", 1.0))
    assert turn.phase.value == state
    turn.handle(t.Interrupt("user", 19.0))
    assert turn.phase is t.Phase.INTERRUPTED
    assert turn.heard == "One two"


def test_a_segment_that_was_dropped_at_once_was_not_heard_at_all() -> None:
    turn = hearing()
    turn.handle(t.Dropped("s0", 0.0))
    turn.handle(t.Interrupt("user", 19.0))
    assert turn.heard == ""


def test_a_segment_that_goes_on_as_a_clip_can_still_be_heard_to_its_end() -> None:
    turn = hearing()
    turn.handle(t.Dropped("s0", 0.5))
    turn.handle(t.Played("s0", 0.0, False))
    assert turn.phase.value == "hearing"
    turn.handle(t.Played("s0", 2.0, True))
    assert turn.phase is t.Phase.FINISHED
    assert turn.heard is None


def test_a_segment_that_was_dropped_and_never_taken_up_was_heard_that_far() -> None:
    turn = hearing()
    turn.handle(t.Dropped("s0", 1.0))
    assert turn.seconds_left() == 1.0
    turn.handle(t.PlaybackEnded(17.0))
    assert turn.phase is t.Phase.FINISHED
    assert turn.heard == "One two"


def test_dropping_a_segment_that_has_ended_takes_nothing_back() -> None:
    turn = speaking()
    turn.handle(t.Played("s0", 2.0, True))
    turn.handle(t.Dropped("s0", 0.1))
    turn.handle(t.Interrupt("user", 13.0))
    assert turn.heard == "One two three four."


def test_what_the_page_reports_late_is_told_when_it_was_heard_out() -> None:
    turn = hearing()
    turn.handle(progress.Reached(progress.Milestone.FIRST_PAINTED, 10.7))
    for drift in (12.0, -45.0, 30.0):
        turn.handle(t.Drifted(drift))
    (settle,) = turn.handle(t.Played("s0", 2.0, True))
    assert isinstance(settle, t.Settle)
    (told,) = settle.then
    assert isinstance(told, events.TurnTimings)
    assert told.timings["first_painted"] == 700.0
    assert told.drift_ms == -45.0


def test_what_is_left_to_hear_is_what_was_drawn_and_not_reported() -> None:
    turn = hearing()
    assert turn.seconds_left() == 2.0
    turn.handle(t.Played("s0", 1.5, False))
    assert turn.seconds_left() == 0.5


def test_reports_about_unknown_segments_change_nothing() -> None:
    turn = speaking()
    assert turn.handle(t.Played("other", 1.0, True)) == []
    assert turn.handle(progress.FragmentMade("other", 0, b"x", True, 11.0)) == []
