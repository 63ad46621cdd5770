"""Numbers in Korean words: the Sino-Korean series (일, 이, 삼) and the native one (한, 두, 세)."""

from __future__ import annotations

_DIGITS = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_PHONE_DIGITS = ("공", *_DIGITS[1:])
_PLACES = ("", "십", "백", "천")
_MYRIADS = ("", "만", "억", "조", "경")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
LARGEST = 10**20


def sino(number: int) -> str:
    """`number` (0 to 10**20 - 1) in Sino-Korean words: 12345 is 만이천삼백사십오.

    Raises `ValueError` beyond that range.
    """
    if not 0 <= number < LARGEST:
        raise ValueError(f"a number from 0 to {LARGEST - 1} was expected, not {number}")
    if number == 0:
        return _DIGITS[0]
    words = ""
    for power, name in enumerate(_MYRIADS):
        group = number // 10_000**power % 10_000
        if group:
            # 10000 is 만, but 100000000 is 일억.
            said = "" if group == 1 and name == "만" else _group(group)
            words = said + name + words
    return words


def native(number: int) -> str:
    """`number` as it stands before a counter: 한, 두, 스무, 서른다섯. Sino-Korean beyond 99."""
    if not 1 <= number <= 99:
        return sino(number)
    if number == 20:
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE_ONES[number % 10]


def one_by_one(digits: str, *, phone: bool = False) -> str:
    """Each digit by itself: 3.14 ends in 일사, a telephone number begins with 공일공."""
    names = _PHONE_DIGITS if phone else _DIGITS
    return "".join(names[int(digit)] for digit in digits)


def decimal(text: str) -> str:
    """``1,234.5`` in words: 천이백삼십사 점 오. `text` holds digits, commas, at most one point."""
    whole, _, fraction = text.replace(",", "").partition(".")
    # A number too long to have a name is read digit by digit.
    said = sino(int(whole)) if int(whole or 0) < LARGEST else one_by_one(whole)
    return f"{said} 점 {one_by_one(fraction)}" if fraction else said


def _group(number: int) -> str:
    words = ""
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            # 십, not 일십.
            words += ("" if digit == 1 and place else _DIGITS[digit]) + _PLACES[place]
    return words
