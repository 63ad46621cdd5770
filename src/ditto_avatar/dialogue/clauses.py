"""An answer as the session needs it: words to show and sentences to speak, in one pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.cleaning import TextCleaner
from ditto_avatar.dialogue.code_blocks import Code, CodeBlocks
from ditto_avatar.dialogue.emotion import EmotionFilter
from ditto_avatar.dialogue.hidden import HiddenFilter
from ditto_avatar.dialogue.sentences import TERMINATORS, Part, SentenceSplitter
from ditto_avatar.types import Emotion, Language

# Characters of one piece that are looked at without a pause: a few milliseconds of work.
_LONGEST_STEP = 4_096
# Spoken in place of code: for the first block of an answer, and for those after it.
CODE_SHOWN = {
    Language.ENGLISH: ("There is code on the screen.", "There is more code on the screen."),
    Language.KOREAN: ("화면에 코드가 있어요.", "화면에 코드가 더 있어요."),
}


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next words to show, spaces included, without tags and markup."""

    text: str


async def clauses(
    pieces: AsyncIterable[str], *, tagged: bool = True, language: Language = Language.ENGLISH
) -> AsyncGenerator[TextDelta | Sentence, None]:
    """Every piece of an answer as a `TextDelta`, and each `Sentence` as soon as it has ended,
    always behind the delta that ended it.

    A tag at the beginning of a sentence is its emotion, one in the middle changes the sentence
    it stands in; a sentence without one is neutral. The parts of a sentence that was too long
    to speak at once share its emotion. Parts that hold no letter or digit are shown, not spoken.
    Text that could not be encoded or stored is cleaned first (`TextCleaner`), and what a model
    writes for programs is taken off (`HiddenFilter`). Code is shown; a sentence in `language` says
    that it is there.
    Text that no model wrote is not `tagged`: its brackets and stars are its own and stay.
    """
    stream = _Clauses(tagged, language)
    try:
        async for piece in pieces:
            for start in range(0, len(piece), _LONGEST_STEP):
                for item in stream.feed(piece[start : start + _LONGEST_STEP]):
                    yield item
                # Others have their turn, however much comes at once.
                await asyncio.sleep(0)
        for item in stream.flush():
            yield item
    finally:
        # A reader that leaves early stops the model behind the pieces at once, not when garbage
        # is collected.
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def sentences(
    pieces: AsyncIterable[str], language: Language = Language.ENGLISH
) -> AsyncGenerator[Sentence, None]:
    """Only the sentences of `clauses`."""
    async with aclosing(clauses(pieces, language=language)) as items:
        async for item in items:
            if isinstance(item, Sentence):
                yield item


def split(text: str, *, tagged: bool = True) -> list[Sentence]:
    """The sentences of a text that is known as a whole, as `clauses` would find them."""
    stream = _Clauses(tagged)
    found = [*stream.feed(text), *stream.flush()]
    return [item for item in found if isinstance(item, Sentence)]


class _Clauses:
    """The pass of `clauses` without the waiting."""

    def __init__(self, tagged: bool, language: Language = Language.ENGLISH) -> None:
        self._tagged = tagged
        self._language = language
        self._cleaner = TextCleaner()
        self._hidden = HiddenFilter()
        self._blocks = CodeBlocks()
        self._filter = EmotionFilter()
        self._splitter = SentenceSplitter()
        self._emotion = Emotion.NEUTRAL
        self._code_blocks = 0

    def feed(self, piece: str) -> list[TextDelta | Sentence]:
        text = self._cleaner.feed(piece)
        return self._found(self._hidden.feed(text)) if self._tagged else self._items([text])

    def flush(self) -> list[TextDelta | Sentence]:
        text = self._cleaner.flush()
        if not self._tagged:
            return [*self._items([text]), *self._spoken(self._splitter.flush())]
        items = self._found(self._hidden.feed(text) + self._hidden.flush())
        for part in self._blocks.flush():
            items += self._part(part)
        return [*items, *self._ended()]

    def _found(self, text: str) -> list[TextDelta | Sentence]:
        return [item for part in self._blocks.feed(text) for item in self._part(part)]

    def _part(self, part: str | Code) -> list[TextDelta | Sentence]:
        if isinstance(part, str):
            return self._items(self._filter.feed(part))
        items: list[TextDelta | Sentence] = []
        if part.begins:
            items = self._ended()
            self._filter = EmotionFilter()
        items.append(TextDelta(part.text))
        if part.begins:
            first, further = CODE_SHOWN[self._language]
            items.append(Sentence(further if self._code_blocks else first))
            self._code_blocks += 1
        return items

    def _ended(self) -> list[TextDelta | Sentence]:
        """Give out all that filter and splitter hold."""
        return [*self._items(self._filter.flush()), *self._spoken(self._splitter.flush())]

    def _items(self, found: Sequence[str | Emotion]) -> list[TextDelta | Sentence]:
        items: list[TextDelta | Sentence] = []
        for item in found:
            if isinstance(item, Emotion):
                items.extend(self._turn_to(item))
            elif item:
                items.append(TextDelta(item))
                items.extend(self._spoken(self._splitter.feed(item)))
        return items

    def _turn_to(self, emotion: Emotion) -> list[Sentence]:
        # A tag right behind a full stop proves the end that the splitter may still wait for.
        spoken: list[Sentence] = []
        if self._splitter.pending.rstrip().rstrip("\"'”’)»」』")[-1:] in TERMINATORS:
            spoken = self._spoken(self._splitter.flush())
        self._emotion = emotion
        return spoken

    def _spoken(self, parts: list[Part]) -> list[Sentence]:
        spoken = []
        for part in parts:
            if any(character.isalnum() for character in part.text):
                spoken.append(Sentence(part.text, self._emotion))
                if part.ends:
                    self._emotion = Emotion.NEUTRAL
        return spoken
