"""Thoughts, template tokens and citation marks are never seen, wherever an answer was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.dialogue.hidden import HiddenFilter

CASES = [
    # Thoughts within thoughts, and one that only speaks of its mark.
    ("<think>a <think>b</think> still</think>The answer is 4.", "The answer is 4."),
    ("<think>a <think>b <think>c</think></think> d</think>Yes.", "Yes."),
    ("<think>a <think> is a mark</think>The answer is 4.", "The answer is 4."),
    ("<mm:think>hm</mm:think>Yes.", "Yes."),
    ("<think/>Yes.", "Yes."),
    # An agent's plan, with the answer behind a label.
    ("Thought: I should look.\nFinal Answer: Yes.", "Yes."),
    ("**Thinking:** The user wants x.\n\n**Answer:** Yes.", "Yes."),
    ("Thinking: fast and slow is a book.", "Thinking: fast and slow is a book."),
    # What programs tell of themselves, and elements that people speak of.
    ("<status>searching</status>We open at nine.", "We open at nine."),
    ("[happy] <progress>10%</progress>Hello.", "[happy] Hello."),
    ("First.\n<observation>{}</observation>\nSecond.", "First.\n\nSecond."),
    ("I said <status>x</status> here.", "I said <status>x</status> here."),
    ("Use the <search> element.", "Use the <search> element."),
    ("<search>", "<search>"),
    ("`<status>x</status>` is one.", "`<status>x</status>` is one."),
    # Calls of tools.
    ('[TOOL_CALLS][{"name": "x"}]', ""),
    ('[TOOL_CALLS][{"name": "x"}]\nDone.', "Done."),
    ("<function=clock>{}</function>Done.", "Done."),
    ("<|tool_calls_section_begin|>x<|tool_calls_section_end|>Done.", "Done."),
    ("<｜tool▁calls▁begin｜>x<｜tool▁calls▁end｜>Done.", "Done."),
    ("<tool>ls</tool><tool_result>x</tool_result>Done.", "Done."),
    ("<think>\nThe user greets me.\n</think>\n\nHello there.", "Hello there."),
    ("<think>Okay, a plan.", ""),
    ("<reasoning>A plan.</reasoning>Hello.", "Hello."),
    ("Hello there.<|im_end|>", "Hello there."),
    ("Hello there.</s>", "Hello there."),
    (
        "<|channel|>analysis<|message|>A plan.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello.",
        "Hello.",
    ),
    (
        "<|channel|>analysis<|message|>A plan.<|end|><|start|>assistant"
        "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>",
        "",
    ),
    ("Okay, the user wants X.\n</think>\n\nHello.", "Hello."),
    ("[THINK]abc[/THINK]Hello.", "Hello."),
    ("◁think▷abc◁/think▷Hello.", "Hello."),
    ("a < b and c > d", "a < b and c > d"),
    ("I was <mad> at him", "I was <mad> at him"),
    ("The `<think>` tag.", "The `<think>` tag."),
    ("It works【4:0†source】 well.", "It works well."),
    ("See [1] and [a].", "See [1] and [a]."),
    ("Hi.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nwhat?", "Hi."),
    ("<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>user\nYo", "Hi.\n"),
    ("<start_of_turn>model\nHi.<end_of_turn>", "Hi."),
    ("analysisThe user greets.assistantfinalHello there.", "Hello there."),
    ('<tool_call>{"a":1}</tool_call>Hello.', "Hello."),
    ("<answer>Hello.</answer>", "Hello."),
    (
        "<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>Hello.<|end_of_solution|>",
        "Hello.",
    ),
    ("<|START_THINKING|>x<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>", "Hello."),
    ("<｜begin▁of▁sentence｜>Hello.<｜end▁of▁sentence｜>", "Hello."),
    ("[INST] q [/INST] Hello.", "Hello."),
    ("Analysis of data: good.", "Analysis of data: good."),
    ("The user interface is nice.", "The user interface is nice."),
    ("The user is right.", "The user is right."),
    ("I <3 you", "I <3 you"),
    ("Hello <b>there</b>.", "Hello <b>there</b>."),
    ('<details type="reasoning" done="true">\n<summary>x</summary>a</details>\nHi', "Hi"),
    ("<|channel>thought\nplan<channel|>Hello.", "Hello."),
    ("x<unused94>y", "xy"),
    ("So I think <em>this</em>", "So I think <em>this</em>"),
    ("Time: 5:30 ok", "Time: 5:30 ok"),
    ("```html\n<s>old</s>\n```\nDone<|im_end|>", "```html\n<s>old</s>\n```\nDone"),
    ("<thinking>a</thinking><seed:think>b</seed:think>Hi", "Hi"),
    ("<Think>a</Think>Hi", "Hi"),
    ("Hello. <think>hm</think>There.", "Hello. There."),
    ("\n\nHello", "Hello"),
    ("Hi:contentReference[oaicite:0]{index=0} x", "Hi x"),
]


def shown(*pieces: str, unmarked: bool = False) -> str:
    hidden = HiddenFilter(unmarked=unmarked)
    return "".join([hidden.feed(piece) for piece in pieces]) + hidden.flush()


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_only_what_is_meant_for_people_is_shown(text: str, expected: str) -> None:
    assert shown(text) == shown(*text) == expected


@given(st.sampled_from(CASES), st.data())
def test_pieces_of_any_size_give_the_same(case: tuple[str, str], data: st.DataObject) -> None:
    text, expected = case
    cut = data.draw(st.integers(0, len(text)))
    assert shown(text[:cut], text[cut:]) == expected


def test_a_thought_that_was_never_opened_is_known_from_the_next_answer_on() -> None:
    hidden = HiddenFilter()
    given_out = "".join(hidden.feed(piece) for piece in ["Some", " plan", "</think>", "Hello."])
    assert given_out == "Some planHello."
    assert hidden.unmarked
    assert shown("Some", " plan", "</think>", "Hello.", unmarked=True) == "Hello."
    assert shown("[happy] Hello", " there.", unmarked=True) == "[happy] Hello there."
    assert shown("No thought", " at all.", unmarked=True) == "No thought at all."


def test_a_long_thought_takes_no_memory() -> None:
    hidden = HiddenFilter()
    assert hidden.feed("<think>") == ""
    for _ in range(1_000):
        assert hidden.feed("a < b and so on, ") == ""
    assert hidden.feed("</think>Hi.") == "Hi."


@pytest.mark.parametrize(
    "text", ["<" * 4_000, "<think" * 800, "[" * 4_000, "【" * 4_000, "◁" * 4_000]
)
def test_marks_that_never_come_are_shown_as_they_are(text: str) -> None:
    assert shown(text) == text
