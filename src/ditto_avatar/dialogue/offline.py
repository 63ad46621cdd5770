"""The embedded dialogue engine: answers from notes, without a key and without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

from ditto_avatar.dialogue.base import Prompt, Role
from ditto_avatar.dialogue.notes_index import NotesIndex, read_notes
from ditto_avatar.dialogue.small_talk import Occasion, all_replies, remark, reply_to
from ditto_avatar.types import Language

NOTES = Path(__file__).parent / "notes"

_UNKNOWN = {
    Language.ENGLISH: (
        "[sad] I am sorry, I cannot answer that. [neutral] I only know a few notes about this "
        "project. To let me talk about everything, put an OpenAI key into the .env file, "
        "in the line OPENAI_API_KEY, and start the server again.",
        "[sad] That is not in my notes either. [neutral] With a language model I could answer "
        "it. Ask me how to connect one.",
    ),
    Language.KOREAN: (
        "[sad] 죄송해요, 그건 제가 대답할 수 없어요. [neutral] 저는 이 프로젝트에 대한 "
        "메모만 알고 있어요. 무엇이든 이야기하려면 .env 파일의 OPENAI_API_KEY 줄에 오픈에이아이 "
        "키를 넣고 서버를 다시 시작해 주세요.",
        "[sad] 그것도 제 메모에는 없어요. [neutral] 언어 모델이 있으면 대답할 수 있어요. "
        "어떻게 연결하는지 물어보세요.",
    ),
}


_OUT_OF_REACH = {
    Language.ENGLISH: "[sad] I am sorry, I cannot reach my language model right now. [neutral] "
    "Until it is back I only know a few notes about this project.",
    Language.KOREAN: "[sad] 죄송해요, 지금은 언어 모델에 연결할 수 없어요. "
    "[neutral] 다시 연결될 때까지는 이 프로젝트에 대한 메모만 알고 있어요.",
}


class OfflineEngine:
    """Answers from a folder of Markdown notes (the ones about this project by default).

    Every heading is a question and the text below it the answer; an HTML comment
    ``<!-- also: … -->`` gives other words for the question. A question in a language without
    notes is answered from the other. `pace` is the pause between words in seconds. A `stand_in`
    speaks while a language model is out of reach, and does not explain how to connect one.
    Raises `InvalidInput` when the notes cannot be read.
    """

    name = "offline"

    def __init__(
        self, notes: Path | None = None, *, pace: float = 0.0, stand_in: bool = False
    ) -> None:
        sections = read_notes(notes or NOTES)
        self._pace = pace
        self._stand_in = stand_in
        self._indexes = {
            language: NotesIndex([s for s in sections if s.language is language])
            for language in Language
        }

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """The answer word by word."""
        for word in re.findall(r"\s*\S+", self._answer(prompt)):
            if self._pace:
                await asyncio.sleep(self._pace)
            yield word

    def fixed_texts(self) -> Iterable[str]:
        """Every note, remark and apology: this engine says nothing else."""
        for index in self._indexes.values():
            yield from index.texts()
        yield from all_replies()
        for answers in _UNKNOWN.values():
            yield from answers
        yield from _OUT_OF_REACH.values()

    async def check(self) -> str:
        """A sentence about the notes for `doctor`."""
        counts = ", ".join(f"{len(index)} {code}" for code, index in self._indexes.items())
        return f"the offline notes hold {counts} sections"

    async def close(self) -> None:
        """Nothing to free."""

    def _answer(self, prompt: Prompt) -> str:
        asked = [message.text for message in prompt.history if message.role is Role.USER]
        question = asked[-1] if asked else ""
        language = _language(question, prompt.language)
        turn = max(0, len(asked) - 1)
        said = remark(question, language)
        if said is None:
            return self._from_notes(question, language) or self._unknown(prompt, language)
        if not said.rest:
            return reply_to(said.occasion, language, turn)
        return self._after_remark(said.occasion, said.rest, prompt, language, turn)

    def _after_remark(
        self, occasion: Occasion, rest: str, prompt: Prompt, language: Language, turn: int
    ) -> str:
        """ "Hello, how do I …": the question is what counts; "Hello, how are you" has none."""
        if (found := self._from_notes(rest, language)) is not None:
            return found
        second = remark(rest, language)
        if second is not None and not second.rest:
            return reply_to(second.occasion, language, turn)
        if occasion in {Occasion.WHO_ARE_YOU, Occasion.HOW_ARE_YOU}:
            return reply_to(occasion, language, turn)
        return self._unknown(prompt, language)

    def _from_notes(self, question: str, language: Language) -> str | None:
        own = self._indexes[language]
        index = own if len(own) else next((i for i in self._indexes.values() if len(i)), own)
        section = index.find(question)
        return section.text if section else None

    def _unknown(self, prompt: Prompt, language: Language) -> str:
        if self._stand_in:
            return _OUT_OF_REACH[language]
        answers = _UNKNOWN[language]
        before = " ".join(m.text for m in prompt.history if m.role is Role.ASSISTANT)
        # The long explanation once; after that the short one.
        told = "OPENAI_API_KEY" in before
        return answers[1 if told else 0]


def _language(text: str, page: Language) -> Language:
    """The language of a question: Hangul is Korean, Latin letters alone are English."""
    if re.search("[가-힣]", text):
        return Language.KOREAN
    return Language.ENGLISH if re.search("[A-Za-z]{2}", text) else page
