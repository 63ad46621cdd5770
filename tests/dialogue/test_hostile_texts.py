"""A text made to be slow costs about as much as a plain one of its length."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ditto_avatar.dialogue.base import Message, Prompt, Role
from ditto_avatar.dialogue.emotion import EmotionFilter
from ditto_avatar.dialogue.offline import OfflineEngine
from ditto_avatar.dialogue.sentences import SentenceSplitter
from ditto_avatar.types import Language
from tests.fakes.hostile_texts import BEFORE, UNITS, hostile, times_as_slow

MOST = 30
NOTES = OfflineEngine()


def split(text: str) -> None:
    splitter = SentenceSplitter()
    splitter.feed(text)
    splitter.flush()


def take_tags_off(text: str) -> None:
    tags = EmotionFilter()
    tags.feed(text)
    tags.flush()


def look_up(text: str) -> None:
    NOTES._answer(Prompt([Message(Role.USER, text)], Language.KOREAN))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("work", [split, take_tags_off, look_up])
def test_no_text_is_slow(work: Callable[[str], None], unit: str) -> None:
    for before in BEFORE:
        assert times_as_slow(work, hostile(unit, before)) < MOST


def test_a_text_without_spaces_is_cut() -> None:
    splitter = SentenceSplitter()
    parts = splitter.feed("a" * 2_000) + splitter.flush()
    assert max(len(part.text) for part in parts) == 440
    assert "".join(part.text for part in parts) == "a" * 2_000


@pytest.mark.parametrize("mark", [".", "?", "!"])
def test_a_long_address_is_not_cut_at_its_marks(mark: str) -> None:
    address = f"https://example.org/{'long-' * 30}part{mark}Q"
    splitter = SentenceSplitter()
    parts = splitter.feed(f"See {address} today. Bye.") + splitter.flush()
    assert [part.text for part in parts] == [f"See {address} today.", "Bye."]
