from __future__ import annotations

import re

import pytest

from ditto_avatar.pipeline.notices import fallback_text
from ditto_avatar.types import Fallback, Language

REASON = "The service answered 429: You exceeded your quota."


@pytest.mark.parametrize(
    ("part", "begins"),
    [
        ("dialogue", "The engine remote is not working, "),
        ("speech", "The engine remote is not working, "),
        ("sentence", "The engine remote could not say a sentence"),
    ],
)
@pytest.mark.parametrize("used", ["embedded", None])
def test_a_fallback_is_told_in_one_language_without_the_engines_reason(
    part: str, begins: str, used: str | None
) -> None:
    fallback = Fallback(part, "remote", used, REASON)
    english = fallback_text(fallback, Language.ENGLISH)
    korean = fallback_text(fallback, Language.KOREAN)
    assert english.startswith(begins)
    assert english.endswith(".")
    assert korean.startswith("remote 엔진")
    assert korean.endswith("요.")
    names = {"remote", used} - {None}
    assert set(re.findall(r"[A-Za-z0-9]+", korean)) == names
    for text in (english, korean):
        assert "429" not in text
        assert "quota" not in text
        assert used is None or used in text
        assert "None" not in text


def test_who_answers_and_who_speaks_are_told_apart() -> None:
    texts = {
        fallback_text(Fallback(part, "remote", used, REASON), language)
        for part in ("dialogue", "speech", "sentence")
        for used in ("embedded", None)
        for language in Language
    }
    assert len(texts) == 12
