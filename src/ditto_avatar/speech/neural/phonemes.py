"""Sentences as phonemes: clauses with their punctuation, in takes that a network says at once."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ditto_avatar.speech.espeak.engine import parts, read
from ditto_avatar.types import Language, Voice

Word = tuple[str, ...]
"""The phonemes of a word, as espeak-ng writes them in IPA; a stress sign stands before its vowel.
"""

_SIGNS = ",;:.!?…—"
_CLAUSE = re.compile(rf"(.+?)(?:([{_SIGNS}])[{_SIGNS}\"'”’)\]]*(?=\s|$)|$)", re.DOTALL)
# The first take is short, so that there is something to hear; a clause of one word is too little
# for a network to find its melody.
_FIRST_PHONEMES = 12
_FURTHER_PHONEMES = 40
# Kokoro takes 510 symbols; nobody says more without a breath.
_MOST_PHONEMES = 250


class Speller(Protocol):
    """What knows the phonemes of words: the embedded voice."""

    async def phonemes(self, text: str, voice: str) -> list[Word]:
        """Return the words of `text` in phonemes, as espeak-ng's `voice` says them. Raises
        `SentenceFailed`. Cancelling is safe."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Words that are said in one go, and the sign behind them (empty if there is none)."""

    words: tuple[Word, ...]
    sign: str

    @property
    def length(self) -> int:
        """How many phonemes it has."""
        return sum(map(len, self.words))


async def takes(
    speller: Speller, sentence: str, voice: Voice, espeak_voice: str
) -> AsyncGenerator[list[Clause], None]:
    """Yield the clauses of `sentence` in takes: the first one short, the others longer.
    `espeak_voice` reads words in the script of the voice's language; others are read by the voice
    of theirs."""
    take: list[Clause] = []
    least = _FIRST_PHONEMES
    reader = Voice(espeak_voice, voice.language, "espeak", "")
    for piece, spelt_by in parts(sentence, reader):
        for text, sign in clauses(piece):
            words = await speller.phonemes(text, spelt_by)
            for clause in _bounded(words, sign):
                take.append(clause)
                if sum(each.length for each in take) >= least:
                    yield take
                    take, least = [], _FURTHER_PHONEMES
    if take:
        yield take


def text_takes(sentence: str, language: Language, least: int, further: int) -> list[str]:
    """Cut `sentence`, read for the ear, at its signs: the first part has at least `least`
    characters, the others `further`."""
    made: list[str] = []
    open_text = ""
    for text, sign in clauses(read(sentence, language)):
        open_text = f"{open_text} {text.strip()}{sign}".strip()
        if len(open_text) >= (further if made else least):
            made.append(open_text)
            open_text = ""
    return [*made, open_text] if open_text else made


def clauses(text: str) -> list[tuple[str, str]]:
    """Cut `text` behind its signs: pairs of words and sign."""
    return [
        (match[1], match[2] or "")
        for match in _CLAUSE.finditer(text)
        if any(character.isalnum() for character in match[1])
    ]


def _bounded(words: Sequence[Word], sign: str) -> list[Clause]:
    """One clause, or several where it is longer than a network bears."""
    made: list[Clause] = []
    part: list[Word] = []
    length = 0
    for word in words:
        if part and length + len(word) > _MOST_PHONEMES:
            made.append(Clause(tuple(part), ""))
            part, length = [], 0
        part.append(word[:_MOST_PHONEMES])
        length += len(word)
    if part:
        made.append(Clause(tuple(part), sign))
    return made
