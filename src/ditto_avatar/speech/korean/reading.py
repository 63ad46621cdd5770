"""Puts everything in a Korean text that is not Hangul into Hangul, as it is read aloud."""

from __future__ import annotations

import re

from ditto_avatar.speech.korean.counting import counted, counter_of
from ditto_avatar.speech.korean.hanja import read_hanja
from ditto_avatar.speech.korean.names import read_memorials, read_names, read_tildes
from ditto_avatar.speech.korean.numbers import decimal, native, one_by_one, sino
from ditto_avatar.speech.korean.words import (
    CURRENCIES,
    LETTERS,
    MIXED,
    SIGNS,
    UNITS,
    WORDS,
)

# Begins where no other number does and keeps what it has matched: otherwise the work would grow
# with the square of its length.
_DIGITS = r"\d{1,3}(?:,\d{3}){1,12}+(?:\.\d++)?|\d++(?:\.\d++)?"
_NUMBER = rf"(?<!\d)(?:{_DIGITS})"

_COUNTED = re.compile(rf"(?<![A-Za-z\d.,])({_DIGITS})(\s?)([가-힣]+)")
_VERSUS = re.compile(r"(?<![\d.])(\d{1,3})대(\d{1,3})(?!\d)")
_SHORT_DATE = re.compile(
    r"(?<![\d.])([1-6]\d)\.\s?(1[0-2]|0?[1-9])\.\s?(3[01]|[12]\d|0?[1-9])(?![\d.])\.?"
)
_DAY = re.compile(
    r"(?<![\d/])(1[0-2]|0?[1-9])/(3[01]|2\d|1[3-9])(?![\d/])(?=\s?(?:에|까지|부터|은|\(|일|$))"
)
_FORMULA = re.compile(r"(?<![A-Za-z\d])(?=[A-Za-z]*\d)(?:[A-Z][a-z]?\d{0,2}){2,7}(?![A-Za-z\d])")
_ROMAN = re.compile(r"(?<![A-Za-z])(?:제\s?)?(II|III|IV|VI{0,3}|IX|XI{0,3}|XIV|XV)(?![A-Za-z])")
_POWER = re.compile(r"(?<=[\w)])\s?(?:\^|\*\*)\s?\(?([-−]?[A-Za-z0-9]+)\)?")
_RAISED = re.compile(r"(?<=[A-Za-z\d)])([⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+)")
_LOWERED = re.compile(r"[₀-₉]")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}

_DATE = re.compile(r"\b(\d{4})\s?[-/.]\s?(\d{1,2})\s?[-/.]\s?(\d{1,2})(?!\d)\.?")
_MONTH = re.compile(r"(?<!\d)(\d{1,2})월")
_CLOCK = re.compile(
    r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])(?:\s?([aApP])\.?[mM](?![A-Za-z])\.?)?"
)
# English halves of the day behind an hour alone: 9am.
_HALF_DAY = re.compile(r"(?<![\d:.,])(1[0-2]|[1-9])\s?([aApP])\.?[mM](?![A-Za-z])\.?")
_HALVES = {"a": "오전", "p": "오후"}
# Sums with the decimals that English writes and nobody says.
_NO_CENTS = re.compile(r"(\d)\.00?(?=\s?원)")
# A score or a ratio; what could be a time of day has been read before.
_SCORE = re.compile(r"(?<![\d:.])(\d{1,3})\s?:\s?(\d{1,3})(?![\d:])")
_HOUR = re.compile(r"(?<!\d)(\d{1,2})\s?시(?!간|[가-힣]*[장도민])")
_VERSION = re.compile(
    r"(?:버전\s)?(?<![\w.])[vV]?(\d+(?:\.\d+){2,})|(?:버전\s)?(?<![\w.])[vV](\d+(?:\.\d+)*)"
)
_FRACTION = re.compile(r"(?<![\d/])(\d{1,3})/(\d{1,3})(?![\d/])")
_SPEED = re.compile(rf"(?:시속\s?)?({_NUMBER})\s?km/h")
_MIXED = re.compile(
    rf"(?<![\w.])(?:{'|'.join(re.escape(name) for name in sorted(MIXED, key=len, reverse=True))})"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NTH = re.compile(r"제\s?(\d{1,4})(?=\s?[가-힣])")
_JOINED = re.compile(r"(?<=[A-Za-z])[-_](?=\d)|(?<=\d)[-_](?=[A-Za-z])")
_BELOW_ZERO = re.compile(rf"(?<![\w가-힣)])[-−]({_NUMBER})\s?(?=°|도)")
_NEGATIVE = re.compile(rf"(?<![\w가-힣)])[-−](?={_NUMBER})")
_MONEY = re.compile(rf"([{re.escape(''.join(CURRENCIES))}])\s?({_NUMBER})(?:\s?([만억조천백]))?")
_MONEY_BEHIND = re.compile(rf"({_NUMBER})\s?([€£$₩])")
_UNIT = re.compile(
    rf"({_NUMBER})\s?("
    + "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
    + r")(?![A-Za-z0-9])(?:(은|는|이|가|을|를|과|와|으로|로)(?![가-힣]))?"
)
_MAGNITUDE = re.compile(rf"({_NUMBER})\s?([백천만억조])")
_PLAIN_NUMBER = re.compile(_DIGITS)
_LATIN_WORD = re.compile(r"[A-Za-z]+(?:[.'’-][A-Za-z]+)*")
_SIGN = re.compile("[" + re.escape("".join(SIGNS)) + "]")
_EQUALS = re.compile(r"([가-힣])\s*=\s*")
# Particles as they stand after a consonant and after a vowel.
_PARTICLES = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("으로", "로"))
_ROMAN_VALUES = dict(
    zip(
        "II III IV V VI VII VIII IX X XI XII XIII XIV XV".split(),
        (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        strict=True,
    )
)
_ELEMENTS = frozenset("He Na Mg Al Si Cl Ca Fe Cu Zn Ag Au Pb Hg Br Li Mn Ni Co".split())


def read_korean(text: str) -> str:
    """`text` with its numbers, dates, times, units, signs and common English words in Hangul.

    English words that are not in the table and are no abbreviations stay as they are: the voice
    says them in English.
    """
    text = text.replace("℃", "°C").replace("㎡", "m²")
    text = _NO_CENTS.sub(r"\1", text)
    text = re.sub(r"[½⅓⅔¼¾⅛]", lambda m: _VULGAR[m[0]], text)
    text = read_hanja(text)
    text = _MIXED.sub(lambda m: MIXED[m[0].lower()], text)
    text = _LOWERED.sub(lambda m: m[0].translate(_SUBSCRIPTS), text)
    text = _NTH.sub(lambda m: f"제{sino(int(m[1]))} ", text)
    text = _JOINED.sub(" ", text)
    text = _read_names_and_times(text)
    text = read_tildes(text)
    text = _MONTH.sub(_read_month, text)
    text = _VERSION.sub(_read_version, text)
    text = _DAY.sub(lambda m: f"{_month(int(m[1]))} {sino(int(m[2]))}일", text)
    text = _FRACTION.sub(lambda m: f"{sino(int(m[2]))}분의 {sino(int(m[1]))}", text)
    text = _SPEED.sub(r"시속 \1km", text)
    text = _BELOW_ZERO.sub(r"영하 \1", text)
    text = _NEGATIVE.sub("마이너스 ", text)
    text = _MONEY.sub(_read_money, text)
    text = _MONEY_BEHIND.sub(lambda m: f"{m[1]} {CURRENCIES[m[2]]}", text)
    text = _HOUR.sub(lambda m: f"{_hour(int(m[1]))} 시", text)
    text = _UNIT.sub(_read_unit, text)
    text = _RAISED.sub(lambda m: _to_the(m[1].translate(_SUPERSCRIPTS)), text)
    text = _POWER.sub(lambda m: _to_the(m[1]), text)
    text = _FORMULA.sub(_read_formula, text)
    text = _COUNTED.sub(_read_counted, text)
    text = _MAGNITUDE.sub(_read_magnitude, text)
    return _read_letters_and_signs(text)


def _read_names_and_times(text: str) -> str:
    text = _DATE.sub(_read_date, text)
    text = _SHORT_DATE.sub(_read_short_date, text)
    text = read_memorials(text)
    text = read_names(text)
    text = _CLOCK.sub(_read_clock, text)
    text = _HALF_DAY.sub(lambda m: f"{_HALVES[m[2].lower()]} {_hour(int(m[1]))} 시", text)
    text = _SCORE.sub(lambda m: f"{sino(int(m[1]))} 대 {sino(int(m[2]))}", text)
    return _VERSUS.sub(lambda m: f"{sino(int(m[1]))}대{sino(int(m[2]))}", text)


def _read_letters_and_signs(text: str) -> str:
    text = _ROMAN.sub(_read_roman, text)
    text = _LATIN_WORD.sub(lambda m: _read_word(m[0]), text)
    text = _PLAIN_NUMBER.sub(_read_number, text)
    text = _EQUALS.sub(lambda m: f"{m[1]}{_agreeing('는', m[1])} ", text)
    text = _SIGN.sub(lambda m: f" {SIGNS[m[0]]} ", text)
    text = re.sub(r"[~^_|\\{}<>]+", " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r" ([,.;:!?])", r"\1", text)


def _read_date(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{sino(year)}년 {_month(month)} {sino(day)}일"


def _read_month(match: re.Match[str]) -> str:
    number = int(match[1])
    return _month(number) if 1 <= number <= 12 else match[0]


def _month(number: int) -> str:
    return {6: "유월", 10: "시월"}.get(number, f"{sino(number)}월")


def _read_money(match: re.Match[str]) -> str:
    amount = match[2].rstrip("0").rstrip(".") if "." in match[2] else match[2]
    return f"{amount}{match[3] or ''} {CURRENCIES[match[1]]}"


def _read_clock(match: re.Match[str]) -> str:
    half = f"{_HALVES[match[4].lower()]} " if match[4] else ""
    said = f"{half}{_hour(int(match[1]))} 시"
    if int(match[2]):
        said += f" {sino(int(match[2]))} 분"
    if match[3]:
        said += f" {sino(int(match[3]))} 초"
    return said


def _hour(number: int) -> str:
    return native(number) if 1 <= number <= 12 else sino(number)


def _read_version(match: re.Match[str]) -> str:
    numbers = (match[1] or match[2]).split(".")
    said = " 점 ".join(
        sino(int(number)) if len(number) < 5 else one_by_one(number) for number in numbers
    )
    return f"버전 {said}" if match[0][0] in "vV버" else said


def _read_counted(match: re.Match[str]) -> str:
    number, gap, word = match.groups()
    magnitude = word[0] in "백천만억조" and not counter_of(word)
    if magnitude or word.startswith("분의"):
        return match[0]
    before, behind = match.string[: match.start()], match.string[match.end() :]
    lead = " " if before and "가" <= before[-1] <= "힣" and not before.endswith("제") else ""
    return lead + counted(number, word, before, behind, gap)


def _read_short_date(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    return f"{sino(year)}년 {_month(month)} {sino(day)}일"


def _read_formula(match: re.Match[str]) -> str:
    """``CO2``: letters by their names, and how many of each."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", match[0])
    if any(len(name) > 1 and name not in _ELEMENTS for name, _ in parts):
        return match[0]
    said = ""
    for name, count in parts:
        said += "".join(LETTERS[letter] for letter in name.upper())
        said += f" {sino(int(count))} " if count else ""
    return f"{said.strip()} "


def _read_roman(match: re.Match[str]) -> str:
    value = _ROMAN_VALUES[match[1]]
    return f"제{sino(value)} " if match[0].startswith("제") else sino(value)


def _to_the(power: str) -> str:
    if power in {"2", "3"}:
        return " 제곱" if power == "2" else " 세제곱"
    minus = "마이너스 " if power[0] in "-−" else ""
    return f"의 {minus}{power.lstrip('-−')}제곱"


def _read_unit(match: re.Match[str]) -> str:
    unit = UNITS[match[2]]
    particle = _agreeing(match[3], unit[-1]) if match[3] else ""
    return f"{decimal(match[1])} {unit}{particle}"


def _agreeing(particle: str, syllable: str) -> str:
    """The form of `particle` that follows `syllable`: who wrote "25fps로" read it otherwise."""
    coda = (ord(syllable) - ord("가")) % 28
    # 로 stays after ㄹ, the eighth coda.
    closed = coda != 0 and not (coda == 8 and particle in {"로", "으로"})
    for pair in _PARTICLES:
        if particle in pair:
            return pair[0] if closed else pair[1]
    return particle


def _read_magnitude(match: re.Match[str]) -> str:
    said = decimal(match[1])
    # 1천 is 천 and 1만 is 만, but 1억 is 일억.
    return match[2] if said == "일" and match[2] in "백천만" else f"{said}{match[2]}"


def _read_word(word: str) -> str:
    known = WORDS.get(word.lower())
    if known is not None:
        return known
    letters = word.replace(".", "")
    if (letters.isupper() and len(letters) <= 5) or len(letters) == 1:
        return "".join(LETTERS[letter] for letter in letters.upper() if letter in LETTERS)
    parts = re.split(r"[-.]", word)
    if len(parts) > 1:
        return " ".join(_read_word(part) for part in parts)
    return word


def _read_number(match: re.Match[str]) -> str:
    said = decimal(match[0])
    after = match.string[match.end() : match.end() + 1]
    before = match.string[match.start() - 1 : match.start()]
    lead = " " if before and ("가" <= before <= "힣") else ""
    return f"{lead}{said}{' ' if 'A' <= after.upper() <= 'Z' else ''}"
