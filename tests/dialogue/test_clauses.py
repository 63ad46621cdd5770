"""One pass over an answer gives what is shown and what is spoken."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.clauses import TextDelta, clauses, sentences, split
from ditto_avatar.types import Emotion, Language


async def stream(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def all_of(*pieces: str) -> list[TextDelta | Sentence]:
    return [item async for item in clauses(stream(*pieces))]


async def test_deltas_come_before_the_sentence_that_they_end() -> None:
    assert await all_of("[happy] Hel", "lo! How", " are you?") == [
        TextDelta("Hel"),
        TextDelta("lo! How"),
        Sentence("Hello!", Emotion.HAPPY),
        TextDelta(" are you?"),
        Sentence("How are you?", Emotion.NEUTRAL),
    ]


async def test_a_tag_proves_that_the_sentence_before_it_has_ended() -> None:
    items = await all_of("Plan B. ", "[sad]")
    assert items == [TextDelta("Plan B. "), Sentence("Plan B.")]


async def test_a_tag_after_its_sentence_changes_that_sentence() -> None:
    found = [item async for item in sentences(stream("I am glad [happy]. Next."))]
    assert [sentence.emotion for sentence in found] == [Emotion.HAPPY, Emotion.NEUTRAL]


async def test_the_parts_of_a_long_sentence_share_its_emotion() -> None:
    text = "[angry] " + "and one more thing that I have to say about this, " * 12 + "end. Calm."
    found = [item async for item in sentences(stream(text))]
    assert len(found) > 3
    assert {sentence.emotion for sentence in found[:-1]} == {Emotion.ANGRY}
    assert found[-1] == Sentence("Calm.", Emotion.NEUTRAL)


async def test_what_has_no_words_is_shown_and_not_spoken() -> None:
    items = await all_of("Bye! 😀")
    assert TextDelta("Bye! 😀") in items
    assert [item for item in items if isinstance(item, Sentence)] == [Sentence("Bye!")]


async def test_an_empty_answer_gives_nothing() -> None:
    assert await all_of() == await all_of("", "") == []


async def test_text_that_is_not_tagged_keeps_its_brackets() -> None:
    items = [item async for item in clauses(stream("[Note] Stay. **Now**"), tagged=False)]
    assert [item.text for item in items if isinstance(item, Sentence)] == [
        "[Note] Stay.",
        "**Now**",
    ]


async def test_a_whole_text_is_split_as_its_pieces_would_be() -> None:
    text = "[happy] Hello! 1.5 metres, Mr. Smith. [sad] And … so on?"
    words = [f"{word} " for word in text.split(" ")]
    assert split(text) == [item async for item in sentences(stream(*words))]
    assert [sentence.text for sentence in split("[a] b.", tagged=False)] == ["[a] b."]


async def test_code_is_shown_and_a_sentence_says_so() -> None:
    text = "Here it is:\n```python\nprint(1)\n```\nDone."
    for pieces in ([text], list(text)):
        items = await all_of(*pieces)
        shown = "".join(item.text for item in items if isinstance(item, TextDelta))
        assert shown == "Here it is:\n```\nprint(1)\n```\nDone."
        said = [item.text for item in items if isinstance(item, Sentence)]
        assert said == ["Here it is:", "There is code on the screen.", "Done."]


async def test_code_keeps_its_marks_and_a_fence_that_stays_open_is_closed() -> None:
    items = await all_of("~~~\na[0] * b ** 2  # <think>\n[happy]")
    shown = "".join(item.text for item in items if isinstance(item, TextDelta))
    assert shown == "~~~\na[0] * b ** 2  # <think>\n[happy]\n~~~"


async def test_code_is_announced_in_the_language_of_the_session() -> None:
    text = "```\na\n```\n```\nb\n```\n"
    found = [item async for item in sentences(stream(text), Language.KOREAN)]
    assert [item.text for item in found] == ["화면에 코드가 있어요.", "화면에 코드가 더 있어요."]


async def test_code_within_a_line_is_read() -> None:
    items = await all_of("Write `foo()` or ```bar``` here.")
    assert TextDelta("Write foo() or bar here.") in items
