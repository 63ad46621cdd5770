"""The embedded presenter knows its notes and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.dialogue.clauses import sentences, split
from ditto_avatar.dialogue.notes_index import NotesIndex, read_notes
from ditto_avatar.dialogue.offline import NOTES, OfflineEngine
from ditto_avatar.errors import InvalidInput
from ditto_avatar.types import Language

ENGINE = OfflineEngine()


async def once(text: str) -> AsyncIterator[str]:
    yield text


async def ask(
    *said: str, language: Language = Language.ENGLISH, engine: OfflineEngine = ENGINE
) -> str:
    """The answer to the last of the person's messages, the ones before answered as well."""
    history: list[Message] = []
    answer = ""
    for text in said:
        history.append(Message(Role.USER, text))
        pieces = [piece async for piece in engine.reply(Prompt(history, language))]
        answer = "".join(pieces)
        history.append(Message(Role.ASSISTANT, answer))
    return answer


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is this project?", "talking avatar"),
        ("Do I need a GPU?", "No."),
        ("How can I use my own photo?", "avatar pack"),
        ("how do I hook up gpt-4", "OPENAI_API_KEY"),
        ("Can I use ollama?", "base URL"),
        ("is my data safe with you?", "your own machine"),
        ("What licence does it have?", "Apache"),
        ("I can't hear anything", "block sound"),
        ("Hello! How do I save a video?", "render"),
        ("GPU가 필요한가요?", "아니요"),
        ("언어 모델은 어떻게 연결하나요?", "OPENAI_API_KEY"),
        ("안녕하세요, 내 얼굴을 쓸 수 있나요?", "폴더"),
        ("개인정보는 안전한가요?", "내 컴퓨터"),
        ("소리가 안 나와요", "브라우저"),
        ("디토가 뭔가요?", "신경망"),
        ("라이선스가 궁금해요", "아파치"),
        ("Hello!", "Hello"),
        ("안녕하세요", "안녕하세요"),
        ("who are you?", "presenter"),
        ("너는 누구야?", "진행자"),
        ("thanks a lot", "welcome"),
        ("고마워요!", "천만에요"),
        ("잘 가", "안녕히"),
    ],
)
async def test_a_question_about_the_project_is_answered(question: str, expected: str) -> None:
    assert expected in await ask(question)


@pytest.mark.parametrize(
    "question",
    [
        "Who is the president of France?",
        "What's the weather in Seoul?",
        "How old are you?",
        "Hello, what time is it?",
        "오늘 날씨 어때?",
        "프랑스의 수도는 어디예요?",
    ],
)
async def test_what_it_cannot_answer_it_says_so_and_how_to_help(question: str) -> None:
    answer = await ask(question)
    assert "OPENAI_API_KEY" in answer
    assert "I cannot answer" in answer or "대답할 수 없어요" in answer


async def test_the_long_apology_comes_only_once() -> None:
    first, second = await ask("Tell me a joke"), await ask("Tell me a joke", "Sing a song")
    assert "OPENAI_API_KEY" in first
    assert "OPENAI_API_KEY" not in second


async def test_a_question_without_letters_is_answered_in_the_language_of_the_page() -> None:
    assert "대답할 수 없어요" in await ask("123", language=Language.KOREAN)


async def test_the_answer_comes_word_by_word() -> None:
    prompt = Prompt([Message(Role.USER, "Do I need a GPU?")], Language.ENGLISH)
    pieces = [piece async for piece in ENGINE.reply(prompt)]
    assert len(pieces) > 10
    assert all(len(piece.split()) == 1 for piece in pieces)


async def test_every_note_is_short_enough_to_listen_to() -> None:
    for section in read_notes(NOTES):
        spoken = [sentence.text async for sentence in sentences(once(section.text))]
        assert 1 < len(spoken) <= 4, section.heading
        assert max(map(len, spoken)) < 190, section.heading


async def test_every_heading_finds_its_own_section() -> None:
    for language in Language:
        sections = [s for s in read_notes(NOTES) if s.language is language]
        index = NotesIndex(sections)
        assert len(index) > 18
        for section in sections:
            found = index.find(section.heading)
            assert (found and found.heading) == section.heading


async def test_notes_of_ones_own_are_used(tmp_path: Path) -> None:
    (tmp_path / "shop.md").write_text(
        "# Opening hours\nWe are open from nine to five.\n\n# Returns\nBring it back in a week.\n"
    )
    engine = OfflineEngine(tmp_path)
    assert "nine to five" in await ask("What are your opening hours?", engine=engine)
    assert "a week" in await ask("returns?", engine=engine)
    assert "cannot answer" in await ask("Do I need a GPU?", engine=engine)


async def test_an_empty_folder_of_notes_leaves_the_small_talk(tmp_path: Path) -> None:
    engine = OfflineEngine(tmp_path)
    assert "Hello" in await ask("hi", engine=engine)
    assert "cannot answer" in await ask("Do I need a GPU?", engine=engine)


def test_notes_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected in a folder"):
        OfflineEngine(tmp_path / "missing")


def test_a_note_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"broken\.md.*UTF-8"):
        OfflineEngine(tmp_path)


async def test_the_check_counts_the_notes() -> None:
    assert "sections" in await ENGINE.check()


async def test_all_that_it_says_is_among_its_fixed_texts() -> None:
    fixed = {s.text for text in ENGINE.fixed_texts() for s in split(text)}
    questions = [
        "Hello!",
        "Who are you?",
        "Tell me a joke",
        "And another",
        "고마워요",
        "농담 하나 해 줘",
    ]
    questions += [section.heading for section in read_notes(NOTES)]
    for question in questions:
        prompt = Prompt([Message(Role.USER, question)], Language.ENGLISH)
        said = [sentence.text async for sentence in sentences(ENGINE.reply(prompt))]
        assert said
        assert set(said) <= fixed
