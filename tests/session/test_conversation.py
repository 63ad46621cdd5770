"""What pages and engines are told of turns that were cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ditto_avatar.dialogue.base import Message, Role
from ditto_avatar.pipeline.clips import Clip
from ditto_avatar.session.conversation import MESSAGE, SAY, Conversation
from ditto_avatar.session.stored import FINISHED, INTERRUPTED, RUNNING, StoredTurn
from ditto_avatar.types import Emotion


def clip(index: int, text: str) -> Clip:
    return Clip(f"clip{index}", index, text, Emotion.NEUTRAL, 1.0, 0, 24)


def turn(kind: str, text: str, *clips: Clip, state: str = INTERRUPTED) -> StoredTurn:
    return StoredTurn("t1", 1, kind, text, state=state, clips=clips)


def test_an_answer_that_a_crash_cut_off_is_what_was_made_of_it() -> None:
    cut = Conversation([turn(MESSAGE, "Count?", clip(1, "Three four."), clip(0, "One two."))])
    question, answer = cut.history()
    assert question.text == "Count?"
    assert (answer.text, answer.heard) == ("One two. Three four.", "One two. Three four.")
    assert len(answer.clips) == 2
    assert cut.messages() == [
        Message(Role.USER, "Count?"),
        Message(Role.ASSISTANT, "One two. Three four.", "One two. Three four."),
    ]
    found = cut.find("t1")
    assert found is not None
    assert found.answer == "One two. Three four."


@pytest.mark.parametrize("clips", [(), (clip(0, "One two."),)])
def test_a_text_to_say_that_a_crash_cut_off_is_still_there(clips: tuple[Clip, ...]) -> None:
    cut = Conversation([turn(SAY, "One two. Three four.", *clips)])
    (entry,) = cut.history()
    assert entry.text == "One two. Three four."
    assert entry.heard == " ".join(c.text for c in clips)
    assert len(entry.clips) == len(clips)


def test_a_question_that_was_cut_off_before_any_answer_stays_alone() -> None:
    assert [e.role for e in Conversation([turn(MESSAGE, "Count?")]).history()] == ["user"]


def test_a_question_is_known_again_by_the_id_that_its_page_gave_it() -> None:
    asked = replace(turn(MESSAGE, "Count?", state=RUNNING), client_id="c1")
    assert [e.id for e in Conversation([asked]).history({"t1": "One"})] == ["c1", None]
    assert Conversation([turn(MESSAGE, "Count?")]).history()[0].id is None


LEFT = turn(MESSAGE, "Count?")


@pytest.mark.parametrize(
    ("stored", "lost"),
    [
        (LEFT, True),
        (replace(LEFT, heard=""), False),  # somebody interrupted it
        (replace(LEFT, clips=(clip(0, "One two."),)), False),
        (replace(LEFT, state=FINISHED), False),
        (replace(LEFT, state=RUNNING), False),
        (replace(LEFT, kind=SAY), False),
    ],
)
def test_only_a_question_that_nobody_ended_or_answered_was_lost(
    stored: StoredTurn, lost: bool
) -> None:
    conversation = Conversation([stored])
    known = conversation.find("t1")
    assert known is not None
    assert conversation.was_lost(known) is lost


def test_a_running_turn_is_not_taken_for_one_that_was_cut_off() -> None:
    running = Conversation([turn(MESSAGE, "Count?", clip(0, "One two."), state=RUNNING)])
    assert running.messages() == [Message(Role.USER, "Count?")]
    assert [e.role for e in running.history()] == ["user"]
    (_, answer) = running.history({"t1": "One two. Thr"})
    assert (answer.text, answer.heard, len(answer.clips)) == ("One two. Thr", None, 1)
