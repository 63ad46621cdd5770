"""Numbers are said as Koreans say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto_avatar.speech.korean.numbers import LARGEST, decimal, native, one_by_one, sino


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "영"),
        (1, "일"),
        (10, "십"),
        (11, "십일"),
        (100, "백"),
        (110, "백십"),
        (2024, "이천이십사"),
        (10_000, "만"),
        (11_111, "만천백십일"),
        (110_000, "십일만"),
        (10_010_000, "천일만"),
        (100_000_000, "일억"),
        (120_000_030_000, "천이백억삼만"),
        (10**12, "일조"),
    ],
)
def test_sino_korean(number: int, words: str) -> None:
    assert sino(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "한"),
        (3, "세"),
        (10, "열"),
        (11, "열한"),
        (20, "스무"),
        (21, "스물한"),
        (99, "아흔아홉"),
    ],
)
def test_native(number: int, words: str) -> None:
    assert native(number) == words


def test_native_numbers_end_at_99() -> None:
    assert native(100) == "백"
    assert native(0) == "영"


@pytest.mark.parametrize(
    ("text", "words"),
    [("3.14", "삼 점 일사"), ("1,234.5", "천이백삼십사 점 오"), ("0.05", "영 점 영오")],
)
def test_decimals_are_read_digit_by_digit(text: str, words: str) -> None:
    assert decimal(text) == words


def test_a_number_without_a_name_is_read_digit_by_digit() -> None:
    assert decimal("9" * 25) == "구" * 25
    with pytest.raises(ValueError, match="expected"):
        sino(LARGEST)


def test_a_telephone_says_gong() -> None:
    assert one_by_one("010", phone=True) == "공일공"


@given(st.integers(0, LARGEST - 1), st.integers(0, LARGEST - 1))
def test_different_numbers_sound_different(one: int, other: int) -> None:
    assert (sino(one) == sino(other)) == (one == other)
