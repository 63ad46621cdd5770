"""What the mouth does for each speech sound of English and Korean, as espeak-ng writes them.

A sound asks for some channels of the mouth and leaves the others to its neighbours. How much a
sound insists is its strength; that and the reach in time are what `coarticulation` blends by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np

from ditto_avatar.types import FloatArray


class Channel(IntEnum):
    """What can be asked of the mouth, each from 0 to 1."""

    JAW = 0  # opening of the jaw
    CLOSE = 1  # lips pressed together
    BITE = 2  # lower lip under the upper teeth
    ROUND = 3  # lips drawn together and forward, a small opening
    FUNNEL = 4  # lips forward and open
    WIDE = 5  # corners drawn back
    TONGUE = 6  # the tip of the tongue between the teeth
    LIFT = 7  # upper lip raised, teeth showing


CHANNELS: Final = len(Channel)


@dataclass(frozen=True, slots=True)
class Viseme:
    """Targets of the channels a sound asks for, and how much it insists on them.

    `targets` and `strengths` are (8,) in the order of `Channel`; a strength of 0 leaves the
    channel alone. `held` sounds must be reached fully; `stop` sounds close before they burst.
    """

    targets: FloatArray
    strengths: FloatArray
    held: bool = False
    stop: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: targets by channel, and the strengths where they are not usual."""

    jaw: float | None = None
    close: float | None = None
    bite: float | None = None
    round: float | None = None
    funnel: float | None = None
    wide: float | None = None
    tongue: float | None = None
    lift: float | None = None
    strength: float = 1.0
    weak: tuple[str, ...] = field(default=())
    held: bool = False
    stop: bool = False


# Weight of a channel's target beside its neighbours' targets, unless a viseme names another.
_WEAK = 0.25
# Weight of the rest position for a channel that a sound has no target for.
_REST = 0.12

_VOWELS: Final[dict[str, _Row]] = {
    "a": _Row(jaw=0.78, wide=0.15, round=0.0, funnel=0.0),
    "ɐ": _Row(jaw=0.72, wide=0.12, round=0.0, funnel=0.0),
    "ɑ": _Row(jaw=0.8, wide=0.0, round=0.0, funnel=0.05),
    "æ": _Row(jaw=0.7, wide=0.4, round=0.0, funnel=0.0, lift=0.2),
    "ʌ": _Row(jaw=0.55, wide=0.05, round=0.08, funnel=0.1),
    "ə": _Row(jaw=0.36, wide=0.1, round=0.0, funnel=0.05, strength=0.6),
    "ɜ": _Row(jaw=0.42, wide=0.0, round=0.15, funnel=0.4),
    "ɚ": _Row(jaw=0.36, round=0.2, funnel=0.4, strength=0.8),
    "ɛ": _Row(jaw=0.52, wide=0.42, round=0.0, funnel=0.0, lift=0.1),
    "e": _Row(jaw=0.44, wide=0.5, round=0.0, funnel=0.0, lift=0.1),
    "ɪ": _Row(jaw=0.34, wide=0.42, round=0.0, funnel=0.0),
    "i": _Row(jaw=0.28, wide=0.7, round=0.0, funnel=0.0, lift=0.1),
    "ɨ": _Row(jaw=0.28, wide=0.4, round=0.0, funnel=0.0),
    "ɯ": _Row(jaw=0.26, wide=0.6, round=0.0, funnel=0.0),
    "y": _Row(jaw=0.24, round=0.85, funnel=0.2, wide=0.0),
    "ø": _Row(jaw=0.38, round=0.6, funnel=0.3, wide=0.0),
    "ɔ": _Row(jaw=0.62, round=0.35, funnel=0.45, wide=0.0),
    "ɒ": _Row(jaw=0.68, round=0.25, funnel=0.3, wide=0.0),
    "o": _Row(jaw=0.46, round=0.7, funnel=0.35, wide=0.0),
    "ʊ": _Row(jaw=0.3, round=0.65, funnel=0.2, wide=0.0),
    "u": _Row(jaw=0.24, round=1.0, funnel=0.15, wide=0.0),
}

_CONSONANTS: Final[dict[str, _Row]] = {
    "m": _Row(jaw=0.12, close=1.0, held=True, weak=("jaw",)),
    "b": _Row(jaw=0.12, close=1.0, held=True, stop=True, weak=("jaw",)),
    "p": _Row(jaw=0.12, close=1.0, held=True, stop=True, weak=("jaw",)),
    "f": _Row(jaw=0.12, bite=1.0, held=True, weak=("jaw",)),
    "v": _Row(jaw=0.12, bite=1.0, held=True, weak=("jaw",)),
    "ɸ": _Row(jaw=0.12, close=0.8, held=True, weak=("jaw",)),
    "β": _Row(jaw=0.12, close=0.8, held=True, weak=("jaw",)),
    "θ": _Row(jaw=0.24, tongue=1.0, wide=0.1, weak=("wide",)),
    "ð": _Row(jaw=0.24, tongue=0.9, wide=0.1, weak=("wide",)),
    "t": _Row(jaw=0.1, tongue=0.15, wide=0.15, weak=("wide", "tongue")),
    "d": _Row(jaw=0.1, tongue=0.15, wide=0.15, weak=("wide", "tongue")),
    "n": _Row(jaw=0.12, tongue=0.2, wide=0.1, weak=("wide", "tongue")),
    "s": _Row(jaw=0.06, wide=0.35, lift=0.15, strength=1.2),
    "z": _Row(jaw=0.06, wide=0.35, lift=0.15, strength=1.2),
    "l": _Row(jaw=0.22, tongue=0.45, wide=0.1, weak=("wide",)),
    "ɫ": _Row(jaw=0.2, tongue=0.4, weak=("wide",)),
    "ɾ": _Row(jaw=0.16, tongue=0.25, strength=0.6),
    "r": _Row(jaw=0.18, tongue=0.2, funnel=0.2, strength=0.6),
    "ɹ": _Row(jaw=0.22, funnel=0.5, round=0.45, wide=0.0),
    "ɻ": _Row(jaw=0.22, funnel=0.5, round=0.45, wide=0.0),
    "ʃ": _Row(jaw=0.1, funnel=0.85, round=0.2, wide=0.0),
    "ʒ": _Row(jaw=0.1, funnel=0.85, round=0.2, wide=0.0),
    "ɕ": _Row(jaw=0.08, funnel=0.35, wide=0.25, lift=0.1),
    "ʑ": _Row(jaw=0.12, funnel=0.35, wide=0.25, lift=0.1),
    "w": _Row(jaw=0.16, round=1.0, funnel=0.1, wide=0.0, strength=1.4),
    "ɥ": _Row(jaw=0.16, round=0.9, funnel=0.1, wide=0.0, strength=1.2),
    "j": _Row(jaw=0.22, wide=0.5, round=0.0),
    "k": _Row(jaw=0.18, strength=0.5),
    "ɡ": _Row(jaw=0.18, strength=0.5),
    "ŋ": _Row(jaw=0.18, strength=0.5),
    "x": _Row(jaw=0.3, strength=0.5),
    "ɣ": _Row(jaw=0.3, strength=0.5),
    "h": _Row(strength=0.2),
    "ɦ": _Row(strength=0.2),
    "ʔ": _Row(strength=0.2),
}

# Other ways to write a sound of the table.
_SAME: Final[dict[str, str]] = {
    "g": "ɡ",
    "ɝ": "ɚ",
    "ɞ": "ɜ",
    "ɘ": "ə",
    "ɵ": "ø",
    "œ": "ø",
    "ɤ": "ʌ",
    "ʉ": "u",
    "ᵻ": "ɪ",
    "ʍ": "w",
    "ç": "h",
    "c": "k",
    "ɟ": "ɡ",
    "ɲ": "n",
    "ɱ": "m",
    "ɭ": "l",
    "ʎ": "l",
    "ʋ": "v",
    "ʂ": "ʃ",
    "ʐ": "ʒ",
    "q": "k",
    "χ": "x",
    "ʁ": "ɣ",
}


def _viseme(row: _Row) -> Viseme:
    targets = np.zeros(CHANNELS, np.float32)
    strengths = np.full(CHANNELS, _REST, np.float32)
    for channel in Channel:
        target = getattr(row, channel.name.lower())
        if target is not None:
            targets[channel] = target
            weak = channel.name.lower() in row.weak
            strengths[channel] = row.strength * (_WEAK if weak else 1.0)
    targets.setflags(write=False)
    strengths.setflags(write=False)
    return Viseme(targets, strengths, row.held, row.stop)


VISEMES: Final = MappingProxyType(
    {symbol: _viseme(row) for symbol, row in (_VOWELS | _CONSONANTS).items()}
)
PAUSE: Final = _viseme(_Row(jaw=0.0, round=0.0, funnel=0.0, wide=0.0, tongue=0.0, lift=0.0))
VOWELS: Final = frozenset(_VOWELS)


@cache
def parts(symbol: str) -> tuple[str, ...]:
    """The sounds of the table that an IPA symbol is made of: ``aɪ`` gives ``a`` and ``ɪ``,
    ``tʃ`` gives ``ʃ`` (its closure is not seen), ``ph`` gives ``p``. Empty if none is known."""
    known = [_SAME.get(letter, letter) for letter in symbol]
    known = [letter for letter in known if letter in VISEMES]
    # A breath or a closure inside one symbol belongs to its neighbour.
    if len(known) > 1 and known[-1] == "h":
        known = known[:-1]
    if len(known) == 2 and known[0] in "td" and known[1] in "ʃʒɕʑsz":
        known = known[1:]
    return tuple(known)
