"""Texts are read aloud as people read them: hand-written readings, and cases from elsewhere."""

from __future__ import annotations

import pytest

from bench.reading import Case, cases, is_right, read
from ditto_avatar.speech.text import spoken_text
from ditto_avatar.types import Language


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.text)
def test_a_text_is_read_as_it_was_written_down_by_hand(case: Case) -> None:
    if case.text in KNOWN_WRONG:
        pytest.xfail(KNOWN_WRONG[case.text])
    assert is_right(case, read(case)), read(case)


KNOWN_WRONG = {
    "The Boeing 747-400 landed.": "the name of an aeroplane looks like a range",
}


@pytest.mark.parametrize(
    ("language", "text", "reading"),
    [
        ("en", "It has 10.000.000 people.", "It has 10,000,000 people."),
        ("en", "The IP is 192.168.100.200.", "The IP is 192 point 168 point 100 point 200."),
        ("ko", "2권과 3권에서", "두 권과 삼권에서"),
        ("ko", "821087971234", "팔이일공팔칠구칠일이삼사"),
        ("ko", "천천히 백화점 만났다 조용히", "천천히 백화점 만났다 조용히"),
    ],
)
def test_texts_that_broke_others(language: str, text: str, reading: str) -> None:
    case = Case(Language(language), "", text, (reading,))
    assert is_right(case, read(case)), read(case)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("list[0] and a[i]", "list[0] and a[i]"),
        ("It works [1].", "It works."),
        ("See [1] and go.", "See [1] and go."),
        ("a<b and c>d", "a<b and c>d"),
        ("<b>bold</b> <a href='x'>link</a><br/>", "bold link"),
        ("It costs $5 and then $10.", "It costs $5 and then $10."),
        ("So \\[ \\frac{a}{b} \\] ends.", "So a over b ends."),
        ("Path C:\\temp stays.", "Path C:\\temp stays."),
        ("① 하나 ㈜ 한빛", "1 하나 (주) 한빛"),
        ("ＡＢＣ１２", "ABC12"),
    ],
)
def test_marks_are_taken_out_and_words_stay(text: str, spoken: str) -> None:
    assert spoken_text(text, Language.ENGLISH) == spoken
