"""A dictionary of one's own: how words are spoken that no voice knows."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from ditto_avatar.errors import InvalidInput
from ditto_avatar.providers import ProviderCheck
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.types import Emotion, Language, SpeechChunk, Voice

_MOST_ENTRIES = 10_000


class Pronunciations:
    """Written words and how they are spoken, by language.

    A word in lower case stands for every case, one with a capital letter for itself only. It is
    found as a whole word; in Korean a particle may follow.
    """

    def __init__(self, spoken: Mapping[Language, Mapping[str, str]]) -> None:
        self._spoken = {language: dict(words) for language, words in spoken.items() if words}
        self._patterns = {
            language: re.compile(
                "|".join(_pattern(w) for w in sorted(words, key=len, reverse=True))
            )
            for language, words in self._spoken.items()
        }

    @property
    def fingerprint(self) -> str:
        """Changes with every entry."""
        return hashlib.sha256(repr(sorted(self._spoken.items())).encode()).hexdigest()[:12]

    def applied(self, text: str, language: Language) -> str:
        """`text` with its words replaced by how they are spoken."""
        pattern = self._patterns.get(language)
        if pattern is None:
            return text
        words = self._spoken[language]
        return pattern.sub(lambda m: words.get(m[0]) or words.get(m[0].lower(), m[0]), text)


class PronouncingSpeech:
    """A `SpeechEngine` that says words as `pronunciations` has them."""

    def __init__(self, engine: SpeechEngine, pronunciations: Pronunciations) -> None:
        self._engine = engine
        self._pronunciations = pronunciations

    @property
    def engine(self) -> SpeechEngine:
        """The engine that speaks."""
        return self._engine

    @property
    def name(self) -> str:
        """The name of the engine that speaks."""
        return self._engine.name

    @property
    def fingerprint(self) -> str:
        """Of the engine and the dictionary."""
        return f"{self._engine.fingerprint} with {self._pronunciations.fingerprint}"

    def voices(self) -> Sequence[Voice]:
        return self._engine.voices()

    async def speak(
        self, sentence: str, voice: Voice, emotion: Emotion = Emotion.NEUTRAL
    ) -> AsyncGenerator[SpeechChunk, None]:
        said = self._pronunciations.applied(sentence, voice.language)
        async with aclosing(self._engine.speak(said, voice, emotion)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def check(self) -> str:
        """What the engine that speaks says of itself."""
        if not isinstance(self._engine, ProviderCheck):
            return f"{self.name} speaks"
        return await self._engine.check()

    async def close(self) -> None:
        await self._engine.close()


def read_pronunciations(path: Path) -> Pronunciations:
    """Read a TOML file with a table for each language: ``[en]``, then lines such as
    ``"nginx" = "engine x"``. Raises `InvalidInput` that names what is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The pronunciations in {path} cannot be read: {error}.") from error
    spoken: dict[Language, dict[str, str]] = {}
    for name, words in tables.items():
        if name not in set(Language) or not isinstance(words, dict):
            known = ", ".join(f"[{language}]" for language in Language)
            raise InvalidInput(f"{path}: expected the tables {known}, came {name!r}.")
        for written, said in words.items():
            if not written.strip() or not isinstance(said, str):
                raise InvalidInput(f"{path}: [{name}] {written!r} is no word with a text.")
        spoken[Language(name)] = {written.strip(): said for written, said in words.items()}
    if sum(map(len, spoken.values())) > _MOST_ENTRIES:
        raise InvalidInput(f"{path}: at most {_MOST_ENTRIES:,} words were expected.")
    return Pronunciations(spoken)


def _pattern(word: str) -> str:
    case = "" if word != word.lower() else "i"
    before = r"(?<!\w)" if word[0].isalnum() else ""
    # A particle may follow: 디토를, nginx가.
    after = r"(?![A-Za-z0-9_])" if word[-1].isalnum() else ""
    body = re.escape(word)
    return f"{before}(?{case}:{body}){after}" if case else f"{before}{body}{after}"
