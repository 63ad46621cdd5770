"""Words in other scripts than the voice's own: who says them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ditto_avatar.types import Language

# Script → its letters, and espeak-ng's voice for it. Kanji are no part of Japanese here: the voice
# knows kana only, and spells all else.
_SCRIPTS = {
    "cmn": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "ja": "\u3041-\u3096\u30a1-\u30fa\u30fc\u31f0-\u31ff",
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03e1\u1f00-\u1fff",
    "ar": "\u0620-\u065f\u0670-\u06d3\u0750-\u077f",
    "he": "\u05b0-\u05ea",
    "hi": "\u0900-\u0963\u0971-\u097f",
    "bn": "\u0980-\u09e3",
    "pa": "\u0a01-\u0a75",
    "gu": "\u0a81-\u0ae3",
    "ta": "\u0b82-\u0bd7",
    "te": "\u0c00-\u0c63",
    "kn": "\u0c80-\u0ce3",
    "ml": "\u0d00-\u0d63",
    "si": "\u0d80-\u0df3",
    "th": "\u0e01-\u0e4e",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0531-\u0587",
    "am": "\u1200-\u135f",
    "my": "\u1000-\u103f\u1050-\u108f",
}
_KOREAN = "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f"
_LATIN = "A-Za-z\u00c0-\u024f\u1e00-\u1eff"
_RUN = re.compile(
    "|".join(
        f"(?P<{voice}>[{letters}](?:[{letters}\\s,'’·-]*[{letters}])?)"
        for voice, letters in [*_SCRIPTS.items(), ("ko", _KOREAN)]
    )
)
# Scripts that no voice here can say are not spelt either: a letter is left out.
_LETTER = re.compile(r"[^\W\d_]")
_GREEK_LETTER = re.compile(r"(?<![\u0370-\u03ff])[\u0391-\u03c9](?![\u0370-\u03ff])")
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψω",
        (
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi "
            "rho sigma tau upsilon phi chi psi omega"
        ).split(),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a sentence in one script; `voice` is espeak-ng's for it, None the sentence's."""

    text: str
    voice: str | None = None


def runs(text: str, language: Language) -> Iterator[Run]:
    """Cut `text` where the script changes to one that the voice of `language` cannot say.

    Hangul within English is said by the Korean voice. Within Korean, Han characters were read as
    Hanja before. Parts without a letter or a digit are left out.
    """
    text = _GREEK_LETTER.sub(lambda m: f" {_GREEK.get(m[0].lower(), '')} ", text)
    at = 0
    for match in _RUN.finditer(text):
        voice = match.lastgroup
        if voice == language.value:
            continue
        yield from _own(text[at : match.start()], language)
        yield Run(match[0], voice)
        at = match.end()
    yield from _own(text[at:], language)


def _own(text: str, language: Language) -> Iterator[Run]:
    letters = _LATIN + (_KOREAN if language is Language.KOREAN else "")
    known = re.compile(f"[{letters}ªºµ]")
    text = _LETTER.sub(lambda m: m[0] if known.match(m[0]) else "", text)
    if any(character.isalnum() for character in text):
        yield Run(text.strip())
