"""Which voice says a sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ditto_avatar.errors import Unavailable
from ditto_avatar.speech.base import SpeechEngine
from ditto_avatar.types import Language, Voice

# engine name → language → voice id, as in an avatar's about.json.
VoiceTable = Mapping[str, Mapping[str, str]]


def language_of(text: str, main: Language) -> Language:
    """The language whose voice should say `text`.

    The script decides: only Hangul letters are Korean, only Latin ones English. A sentence with
    both stays with `main`, and so does one with neither, such as a number.
    """
    hangul = any(_is_hangul(character) for character in text)
    latin = any(character.isascii() and character.isalpha() for character in text)
    if hangul and not latin:
        return Language.KOREAN
    # An English voice cannot say Hangul at all, a Korean one does say Latin letters.
    if hangul:
        return Language.KOREAN if main is Language.KOREAN or _mostly_hangul(text) else main
    return Language.ENGLISH if latin else main


def voice_for(
    engine: SpeechEngine,
    text: str,
    main: Language,
    table: VoiceTable | None = None,
    own: Collection[str] = (),
) -> Voice:
    """The voice for `text` on `engine`: one whose id is in `own`, a person's choice, if it is
    offered; else the avatar's choice from `table`; else the engine's first of the language. A
    chain may have an engine in front that does not speak the language: its first one that does
    counts. A voice id of `table` that the engine does not list is passed on as it is: services
    have more voices than they are asked about here.

    Raises `Unavailable` when the engine has no voice for the language.
    """
    language = language_of(text, main)
    offered = [voice for voice in engine.voices() if voice.language is language]
    chosen = next((voice for voice in offered if voice.id in own), None)
    if chosen is not None:
        return chosen
    name = offered[0].engine if offered else engine.name
    wanted = (table or {}).get(name, {}).get(language.value)
    if wanted is not None:
        listed = next((v for v in offered if v.id == wanted and v.engine == name), None)
        return listed or Voice(wanted, language, name, wanted)
    if not offered:
        raise Unavailable(f"The speech engine '{engine.name}' has no voice for '{language}'.")
    return offered[0]


def _is_hangul(character: str) -> bool:
    return (
        "\uac00" <= character <= "\ud7a3"
        or "\u1100" <= character <= "\u11ff"
        or "\u3130" <= character <= "\u318f"
    )


def _mostly_hangul(text: str) -> bool:
    hangul = sum(_is_hangul(character) for character in text)
    latin = sum(character.isascii() and character.isalpha() for character in text)
    # A syllable block stands for two to three letters.
    return hangul * 2 > latin
