"""What a child process is asked to say: text that espeak-ng can bear, in pieces of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

# espeak-ng 1.52 overwrites its stack at some long runs without a space: 210 characters of "щ.",
# 272 of "ness", 390 of ".a" were the shortest found. Words of people are shorter than this.
_LONGEST_RUN = 40
# Sentences are shorter; more than that is a text somebody reads aloud.
_LONGEST_PIECE = 1_000
_RUN = re.compile(rf"\S{{{_LONGEST_RUN + 1},}}")
# Korean can be written without spaces; Hangul never troubled the library.
_RUN_WITHOUT_HANGUL = re.compile(rf"[^\s가-힣]{{{_LONGEST_RUN + 1},}}")
_SIGN_WITHIN = re.compile(r"[^\w\s](?=\S)")


@dataclass(frozen=True, slots=True)
class Request:
    """A text and how to say it: espeak's name of a voice, words a minute, pitch and pitch range
    (0 to 100). `spell` asks for the phonemes alone."""

    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int
    spell: bool = False

    def simpler(self) -> Request:
        """The same for a second attempt: no signs between characters, no long run, Hangul or
        not."""
        return replace(self, text=_RUN.sub(_cut, _SIGN_WITHIN.sub(" ", self.text)))


def pieces(text: str) -> Iterator[str]:
    """Cut `text` for `Request`: at most 1,000 characters each, cut at spaces; runs of more than
    40 characters get a space behind every sign, and after 40 characters without one."""
    text = _RUN_WITHOUT_HANGUL.sub(_spaced, text.replace("\0", " "))
    while len(text) > _LONGEST_PIECE:
        end = text.rfind(" ", 0, _LONGEST_PIECE) + 1 or _LONGEST_PIECE
        yield text[:end]
        text = text[end:]
    if text:
        yield text


def _spaced(run: re.Match[str]) -> str:
    return _RUN.sub(_cut, _SIGN_WITHIN.sub(r"\g<0> ", run[0]))


def _cut(run: re.Match[str]) -> str:
    return " ".join(run[0][at : at + _LONGEST_RUN] for at in range(0, len(run[0]), _LONGEST_RUN))
