"""Limit how long an answer may become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ditto_avatar.dialogue.sentences import columns

# Columns that a voice speaks in a second: English about 15, Korean about 12. Only for sentences
# that wait; what was spoken is measured.
_COLUMNS_PER_S = 13.0
# Text that is shown and holds nothing to speak, such as stars: beyond this it is an endless one.
_MOST_UNSPOKEN = 10_000


class Cut(StrEnum):
    """The reasons for an answer to end before its text."""

    LENGTH = "length"
    UNWATCHED = "unwatched"


def _nobody(cut: Cut) -> None:
    pass


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limit the seconds of speech of an answer, in all and without viewers; `on_cut` is called for
    each answer that is cut."""

    longest_s: float = 300.0
    unwatched_s: float = 30.0
    on_cut: Callable[[Cut], object] = _nobody


class AnswerLength:
    """Count the speech of one answer: seconds of what was spoken, an estimate of what waits.

    The dialogue stops at the end of the sentence that fills the limit, so that all of what is
    shown is spoken as well.
    """

    def __init__(self, limits: AnswerLimits, watched: Callable[[], bool]) -> None:
        self._limits = limits
        self._watched = watched
        self._spoken_s = 0.0
        self._unwatched_s = 0.0
        self._waiting_columns = 0
        self._unspoken = 0

    def shown(self, text: str) -> None:
        """Count words that were shown."""
        self._unspoken += len(text)

    def queued(self, sentence: str) -> None:
        """Count a sentence that waits to be spoken."""
        self._unspoken = 0
        self._waiting_columns += columns(sentence)

    def spoken(self, sentence: str, seconds: float) -> None:
        """Count a sentence that was queued and has been spoken in `seconds`."""
        self._waiting_columns -= columns(sentence)
        self._spoken_s += seconds
        if not self._watched():
            self._unwatched_s += seconds

    @property
    def filled(self) -> Cut | None:
        """Why no more sentences should be taken, None while they should."""
        waiting_s = self._waiting_columns / _COLUMNS_PER_S
        full = self._spoken_s + waiting_s >= self._limits.longest_s
        return Cut.LENGTH if full else self._given_up

    @property
    def mute(self) -> Cut | None:
        """Why no more words should be taken although no sentence came, None while they should."""
        return Cut.LENGTH if self._unspoken > _MOST_UNSPOKEN else None

    @property
    def over(self) -> Cut | None:
        """Why not even what waits should be spoken, None while it should."""
        return Cut.LENGTH if self._spoken_s >= self._limits.longest_s else self._given_up

    @property
    def _given_up(self) -> Cut | None:
        alone = self._unwatched_s >= self._limits.unwatched_s and not self._watched()
        return Cut.UNWATCHED if alone else None
