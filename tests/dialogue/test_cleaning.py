"""Half characters and control characters end at the dialogue's border."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from ditto_avatar.dialogue.base import Sentence
from ditto_avatar.dialogue.clauses import TextDelta, clauses
from ditto_avatar.dialogue.cleaning import TextCleaner, joined_halves


def cleaned(*pieces: str) -> str:
    cleaner = TextCleaner()
    return "".join([*(cleaner.feed(piece) for piece in pieces), cleaner.flush()])


@pytest.mark.parametrize(
    ("pieces", "clean"),
    [
        (["Hi \ud83d", "\ude00!"], "Hi 😀!"),
        (["Hi \ud83d", "!"], "Hi \ufffd!"),
        (["Hi \ude00!"], "Hi \ufffd!"),
        (["Hi \ud83d"], "Hi \ufffd"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["a\x00b\x1b[1m\x9f", "\tc\r\n"], "ab[1m\tc\r\n"),
        (["안녕", "하세요 👩\u200d🚀"], "안녕하세요 👩\u200d🚀"),
    ],
)
def test_what_models_send_can_be_encoded(pieces: list[str], clean: str) -> None:
    assert cleaned(*pieces) == clean


def test_the_cut_into_pieces_makes_no_difference() -> None:
    chance = random.Random(5)
    for _ in range(500):
        text = "".join(chance.choices("a\n\x00é\ud83d\ude00\ud83d\ude00", k=10))
        whole = cleaned(text)
        assert cleaned(*text) == whole
        whole.encode()


def test_halves_are_joined_in_what_is_sent() -> None:
    assert joined_halves('{"a":"\ud83d\ude00","b":"\ud83d"}') == '{"a":"😀","b":"\ufffd"}'


@pytest.mark.parametrize("tagged", [True, False])
async def test_nothing_else_leaves_the_dialogue(tagged: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("Good \ud83d", "\ude00 day\x07. And", " half \ud83d"):
            yield piece

    items = [item async for item in clauses(pieces(), tagged=tagged)]
    shown = "".join(item.text for item in items if isinstance(item, TextDelta))
    spoken = [item.text for item in items if isinstance(item, Sentence)]
    assert shown == "Good 😀 day. And half \ufffd"
    assert spoken == ["Good 😀 day.", "And half \ufffd"]
