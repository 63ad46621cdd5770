"""The model is told who it is and what was said, within its bounds."""

from __future__ import annotations

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.dialogue.prompt import (
    chat_messages,
    estimated_tokens,
    system_prompt,
    without_system,
)
from ditto_avatar.types import Emotion, Language


def talk(turns: int, words: int = 20) -> list[Message]:
    history: list[Message] = []
    for turn in range(turns):
        history.append(Message(Role.USER, f"question {turn} " + "word " * words))
        history.append(Message(Role.ASSISTANT, f"answer {turn} " + "word " * words))
    return [*history, Message(Role.USER, "the last question")]


def test_the_system_prompt_names_the_persona_the_ear_and_every_emotion() -> None:
    text = system_prompt(Prompt([], Language.KOREAN, "You are Mina."))
    assert text.startswith("You are Mina.")
    assert "No markdown" in text
    assert all(f"[{emotion}]" in text for emotion in Emotion)
    assert "Korean" in text


def test_an_avatar_without_a_persona_gets_one() -> None:
    assert system_prompt(Prompt([], Language.KOREAN)).startswith("당신은")


def test_a_short_talk_is_told_whole() -> None:
    history = talk(2)
    messages = chat_messages(Prompt(history, Language.ENGLISH), 6_000)
    assert [m.content for m in messages[1:]] == [m.text for m in history]
    assert [m.role for m in messages] == ["system", *(["user", "assistant"] * 2), "user"]


def test_a_long_talk_keeps_its_end_and_begins_with_the_person() -> None:
    messages = chat_messages(Prompt(talk(200), Language.ENGLISH), 500)
    told = messages[1:]
    assert told[0].role == "user"
    assert told[-1].content == "the last question"
    assert 3 < len(told) < 30
    assert sum(estimated_tokens(message.content) for message in told) <= 500


def test_the_last_question_is_kept_however_long_it_is() -> None:
    messages = chat_messages(Prompt([Message(Role.USER, "word " * 9_000)], Language.ENGLISH), 100)
    assert len(messages) == 2


def test_of_an_interrupted_answer_only_what_was_heard_is_told() -> None:
    history = [
        Message(Role.USER, "Tell me a story."),
        Message(Role.ASSISTANT, "Once upon a time there was a king.", heard="Once upon a time"),
        Message(Role.USER, "Stop."),
    ]
    told = chat_messages(Prompt(history, Language.ENGLISH), 6_000)[2].content
    assert told.startswith("Once upon a time (The person interrupted")
    assert "king" not in told


def test_the_estimate_is_never_below_a_real_tokenizer() -> None:
    # Counted once with the o200k tokenizer of gpt-4o.
    assert estimated_tokens("The quick brown fox jumps over the lazy dog.") >= 10
    assert estimated_tokens("안녕하세요, 만나서 반갑습니다.") >= 10


def test_roles_alternate_whatever_happened_before() -> None:
    history = [
        Message(Role.USER, "One?"),
        Message(Role.USER, "Two?"),
        Message(Role.ASSISTANT, ""),
        Message(Role.USER, "Three?"),
        Message(Role.ASSISTANT, "A text that was said.", heard=""),
        Message(Role.ASSISTANT, "Another."),
        Message(Role.USER, "Four?"),
    ]
    told = chat_messages(Prompt(history, Language.ENGLISH), 6_000)
    assert [m.role for m in told] == ["system", "user", "assistant", "user"]
    assert told[1].content == "One?\n\nTwo?\n\nThree?"
    assert told[2].content.endswith("Another.")


def test_a_system_prompt_can_stand_before_the_first_message() -> None:
    told = without_system(chat_messages(Prompt(talk(1), Language.ENGLISH, "Mina."), 6_000))
    assert [m.role for m in told] == ["user", "assistant", "user"]
    assert told[0].content.startswith("Mina.")
