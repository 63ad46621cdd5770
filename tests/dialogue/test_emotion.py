"""Emotion tags drive the presenter and are never seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.dialogue.emotion import EmotionFilter
from ditto_avatar.types import Emotion

H, S, N, A = Emotion.HAPPY, Emotion.SAD, Emotion.NEUTRAL, Emotion.ANGRY


def filtered(*pieces: str) -> list[str | Emotion]:
    emotions = EmotionFilter()
    found = [item for piece in pieces for item in emotions.feed(piece)]
    joined: list[str | Emotion] = []
    for item in [*found, *emotions.flush()]:
        if isinstance(item, Emotion) or not joined or isinstance(joined[-1], Emotion):
            joined.append(item)
        else:
            joined[-1] = f"{joined[-1]}{item}"
    return joined


CASES: list[tuple[str, list[str | Emotion]]] = [
    ("[happy] Hi there! [sad] I'm sad.", [H, "Hi there! ", S, "I'm sad."]),
    ("[HAPPY]Hi.", [H, "Hi."]),
    ("[ happy ]: Hi.", [H, "Hi."]),
    ("[기쁨] 좋아요!", [H, "좋아요!"]),
    ("(happy) Good.", [H, "Good."]),
    ("[emotion: sad] Oh.", [S, "Oh."]),
    ("[hapy] Hi.", [N, "Hi."]),
    ("[happy, sad] Hi.", [N, "Hi."]),
    ("[very happy] Hi.", [H, "Hi."]),
    ("[smiling warmly] Hi.", [N, "Hi."]),
    ("[happy I am glad.", [H, "I am glad."]),
    ("[happy [sad] Hi.", [H, S, "Hi."]),
    ("Hello. [surp", ["Hello. "]),
    ("Hello. [", ["Hello. "]),
    ("One.\n[sad] Two.", ["One.\n", S, "Two."]),
    ("See [1] and list[0] (a joke).", ["See [1] and list[0] (a joke)."]),
    ("An array [of words] here.", ["An array [of words] here."]),
    ("See [the docs](https://a.b/c) now.", ["See the docs now."]),
    ("[docs](https://a.b) are here.", ["docs are here."]),
    ("**bold** and `code`, 3 * 4.", ["bold and code, 3 * 4."]),
    ("# Title\n* item", ["Title\n- item"]),
    ("C# is #1.", ["C# is #1."]),
    ("a < b > c", ["a < b > c"]),
    ("기쁨(joy)과 슬픔(sadness).", ["기쁨(joy)과 슬픔(sadness)."]),
    ("I was <mad>, the label {sad}.", ["I was <mad>, the label {sad}."]),
    ("[John] went home.", ["[John] went home."]),
    ("[a] is a letter. [Note] this.", ["[a] is a letter. [Note] this."]),
    ("[happy] Well. [grumpy] So.", [H, "Well. ", N, "So."]),
    ("[happy] Well. [Sic] so.", [H, "Well. [Sic] so."]),
    ("[grumpy] was the word.", ["[grumpy] was the word."]),
    ("[happy 😀] Hello.", [H, "Hello."]),
    ("**[happy]** Hello there.", [H, "Hello there."]),
    ("*[sad]* Oh.", [S, "Oh."]),
    ("_[happy]_ Hello", [H, "Hello"]),
    ("[supprise] Oh!", [N, "Oh!"]),
    ("*smiles warmly* Hello there!", [N, "Hello there!"]),
    ("*waves* Hi! *nods* Yes.", [N, "Hi! ", N, "Yes."]),
    ("(laughs) Hi.", [N, "Hi."]),
    ("(웃으며) 안녕하세요.", [N, "안녕하세요."]),
    ("*손을 흔들며* 안녕!", [N, "안녕!"]),
    ("*Important* things.", ["Important things."]),
    ("*very* good", ["very good"]),
    ("(see below) Hi.", ["(see below) Hi."]),
    ("2**3 = 8", ["2**3 = 8"]),
    ("snake_case and _em_", ["snake_case and _em_"]),
    ("_name_ is it", ["_name_ is it"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_tags_are_taken_off(text: str, expected: list[str | Emotion]) -> None:
    assert filtered(text) == expected


@pytest.mark.parametrize("emotion", list(Emotion))
def test_every_emotion_has_a_tag(emotion: Emotion) -> None:
    assert filtered(f"[{emotion}] Yes.") == [emotion, "Yes."]


@given(st.sampled_from([text for text, _ in CASES]), st.data())
def test_pieces_of_any_size_give_the_same(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    assert filtered(text[:cut], text[cut:]) == filtered(text) == filtered(*text)


@given(st.text(alphabet="[]()happyd *`#\n.가 ", max_size=80))
def test_no_known_tag_is_ever_shown(text: str) -> None:
    shown = "".join(item for item in filtered(text + "[happy] x") if isinstance(item, str))
    assert "[happy]" not in shown
