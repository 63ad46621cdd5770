"""English text is read as people read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.english import read_english


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("It costs $3.50.", "It costs 3 dollars and 50 cents."),
        ("It costs $1.", "It costs 1 dollar."),
        ("It costs $3.00 or €0.99.", "It costs 3 dollars or 99 cents."),
        ("£2.01 and £2.50", "2 pounds and 1 penny and 2 pounds and 50 pence"),
        ("A $2.5 million deal, or $40k", "A 2.5 million dollars deal, or 40 thousand dollars"),
        ("₩10,000", "10,000 won"),
        ("Due on 2024-03-05.", "Due on March 5th, 2024."),
        (
            "2024-01-01, 2024-02-22, 2024-05-13",
            "January 1st, 2024, February 22nd, 2024, May 13th, 2024",
        ),
        ("It is 20°C, not -5 °C.", "It is 20 degrees Celsius, not minus 5 degrees Celsius."),
        ("100 km/h for 1 km", "100 kilometers per hour for 1 kilometer"),
        ("12GB at 25fps in 40 ms", "12 gigabytes at 25 frames per second in 40 milliseconds"),
        ("3-5 days, pages 10–12", "3 to 5 days, pages 10 to 12"),
        ("v2.0.1 is out", "version 2 point 0 point 1 is out"),
        ("fruit, e.g. apples, pears, etc.", "fruit, for example apples, pears, et cetera."),
        ("cats & dogs, 2 × 3 = 6", "cats and dogs, 2 times 3 equals 6"),
        ("call 555-123-4567", "call five five five, one two three, four five six seven"),
        ("a well-known GPT-4o, 10 minutes", "a well-known GPT-4o, 10 minutes"),
        ("2024-13-45", "2024-13-45"),
    ],
)
def test_signs_and_short_forms_become_words(text: str, read: str) -> None:
    assert read_english(text) == read


@given(st.text(alphabet="0123456789.,$€£-–~/:^²½#<>+xIVvkmGB°Cph&= aeA\"'", max_size=40))
def test_every_text_is_read_and_nothing_is_left_twice(text: str) -> None:
    read = read_english(text)
    assert "  " not in read
    assert len(read) < 40 * (len(text) + 1)


@pytest.mark.parametrize("part", ["1/", "1-", "555-", "9:", "$5-", "II ", "x²", "<a", "+1 ", "A "])
def test_long_runs_are_read_in_time_that_grows_with_the_text(part: str) -> None:
    assert read_english(part * 1_500) is not None
