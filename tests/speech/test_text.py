"""Only what can be said is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.text import has_speech, spoken_text
from ditto_avatar.types import Language

EN, KO = Language.ENGLISH, Language.KOREAN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Hello** _world_ 😀!", "Hello world!"),
        ("~~no~~ ***yes***", "no yes"),
        ("# Title", "Title"),
        ("> quoted", "quoted"),
        ("- [x] done", "done"),
        ("* item", "item"),
        ("See [the docs](https://a.b/c_(d)?e=f).", "See the docs."),
        ("![a cat](cat.png) sits", "a cat sits"),
        (
            "Go to https://www.example.com/path/to?x=1.",
            "Go to example dot com slash path slash to.",
        ),
        ("At http://localhost:7136/ it runs.", "At localhost 7136 it runs."),
        (
            "https://example.com/a/very/long/path/that/nobody/wants",
            "example dot com",
        ),
        ("Mail jo.doe@example.com!", "Mail jo dot doe at example dot com!"),
        ("Edit the .env file.", "Edit the dot env file."),
        ("snake_case_name", "snake case name"),
        ("OPENAI_API_KEY", "OPENAI API KEY"),
        ("3 * 4 = 12", "3 × 4 = 12"),
        ("20℃ — nice…", "20°C, nice..."),
        ("<b>bold</b> &amp; x < y", "bold & x < y"),
        ("Wow!!!! ok.....", "Wow! ok..."),
        ("1️⃣ first :) fine <3", "1 first fine"),
        ("👨‍👩‍👧 family 🇰🇷 👋🏽", "family"),
        ("a\x00b\x1bc\u200bd\u202ee", "a b cde"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b, 1, 2"),
        ("```python\ncode\n```", "code"),
        ("C# and C++", "C# and C++"),
        ("fête naïve", "fête naïve"),
        ("“Yes,” she said.", '"Yes," she said.'),
        ("...", ""),
        ("😀🎉", ""),
        ("** **", ""),
        ("", ""),
    ],
)
def test_markup_emoji_and_addresses_are_made_speakable(text: str, said: str) -> None:
    assert spoken_text(text, EN) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**안녕**하세요 👋", "안녕하세요"),
        ("example.com 말고 https://example.com/a 로 오세요.", None),
        ("ㅋㅋㅋ 그래요", "ㅋㅋㅋ 그래요"),
        ("- 첫째\n- 둘째", "첫째 둘째"),
        ("메일은 a@b.com이에요.", "메일은 a 골뱅이 b 점 com이에요."),
        (".env 파일", "점 env 파일"),
    ],
)
def test_korean_is_cleaned_with_korean_words(text: str, said: str | None) -> None:
    result = spoken_text(text, KO)
    assert result == (said or "example.com 말고 example 점 com 슬래시 a 로 오세요.")


@given(st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1))
def test_hangul_is_never_touched(text: str) -> None:
    assert spoken_text(text, KO) == text
    assert spoken_text(f"**{text}** 😀", EN) == text


def test_hangul_from_separate_jamo_is_composed() -> None:
    assert spoken_text("\u1112\u1161\u11ab", KO) == "한"


@given(st.text(max_size=80))
def test_what_is_left_sounds_and_is_clean_already(text: str) -> None:
    said = spoken_text(text, EN)
    assert said == "" or has_speech(said)
    assert not any(character < " " or character in "\u200b\u200d\ufe0f" for character in said)
