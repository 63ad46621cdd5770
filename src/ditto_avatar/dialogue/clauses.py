"""An answer as the session needs it: words to show and sentences to speak, in one pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.cleaning import TextCleaner
from ditto_avatar.dialogue.emotion import EmotionFilter
from ditto_avatar.dialogue.sentences import TERMINATORS, Part, SentenceSplitter
from ditto_avatar.types import Emotion

# Characters of one piece that are looked at without a pause: a few milliseconds of work.
_LONGEST_STEP = 4_096


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next words to show, spaces included, without tags and markup."""

    text: str


async def clauses(
    pieces: AsyncIterable[str], *, tagged: bool = True
) -> AsyncGenerator[TextDelta | Sentence, None]:
    """Every piece of an answer as a `TextDelta`, and each `Sentence` as soon as it has ended,
    always behind the delta that ended it.

    A tag at the beginning of a sentence is its emotion, one in the middle changes the sentence
    it stands in; a sentence without one is neutral. The parts of a sentence that was too long
    to speak at once share its emotion. Parts that hold no letter or digit are shown, not spoken.
    Text that could not be encoded or stored is cleaned first (`TextCleaner`).
    Text that no model wrote is not `tagged`: its brackets and stars are its own and stay.
    """
    stream = _Clauses(tagged)
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
        # Whoever leaves early stops the model behind the pieces at once, not when garbage is
        # collected.
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def sentences(pieces: AsyncIterable[str]) -> AsyncGenerator[Sentence, None]:
    """Only the sentences of `clauses`."""
    async with aclosing(clauses(pieces)) as items:
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

    def __init__(self, tagged: bool) -> None:
        self._cleaner = TextCleaner()
        self._filter = EmotionFilter() if tagged else None
        self._splitter = SentenceSplitter()
        self._emotion = Emotion.NEUTRAL

    def feed(self, piece: str) -> list[TextDelta | Sentence]:
        return self._items(self._found(self._cleaner.feed(piece)))

    def flush(self) -> list[TextDelta | Sentence]:
        items = self._items(self._found(self._cleaner.flush()))
        items += self._items([] if self._filter is None else self._filter.flush())
        return [*items, *self._spoken(self._splitter.flush())]

    def _found(self, text: str) -> Sequence[str | Emotion]:
        return [text] if self._filter is None else self._filter.feed(text)

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
