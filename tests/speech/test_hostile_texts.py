"""A text made to be slow is made fit to be spoken about as fast as a plain one of its length."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ditto_avatar.speech.english import read_english
from ditto_avatar.speech.korean.reading import read_korean
from ditto_avatar.speech.korean.sounds import pronounced
from ditto_avatar.speech.text import spoken_text
from ditto_avatar.types import Language
from tests.fakes.hostile_texts import BEFORE, UNITS, hostile, times_as_slow

MOST = 30
READERS: list[Callable[[str], object]] = [
    lambda text: spoken_text(text, Language.ENGLISH),
    lambda text: spoken_text(text, Language.KOREAN),
    read_english,
    read_korean,
    pronounced,
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("work", READERS)
def test_no_text_is_slow(work: Callable[[str], object], unit: str) -> None:
    for before in BEFORE:
        assert times_as_slow(work, hostile(unit, before)) < MOST
