"""Puts everything in a Korean text that is not Hangul into Hangul, as it is read aloud."""

from __future__ import annotations

import re

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

# Counters that take native numbers; a longer Sino-Korean one is tried first (개월 before 개).
_NATIVE_COUNTERS = (
    "번째 시간 사람 가지 군데 그루 송이 켤레 봉지 조각 마디 모금 그릇 접시 방울 바퀴 걸음 "
    "차례 마리 자루 꼭지 다발 묶음 상자 갈래 개 명 살 권 장 잔 병 대 달 곳 벌 쌍 채 척 통 줄 "
    "배 컵 판 끼 팀 손 알 톨 시"
).split()
_SINO_COUNTERS = (
    "개월 개국 개년 개사 시리즈 시즌 장조 대중 배속 배수 통신 살림 번지 명령 권한 "
    "대학 대로 장면 시도 줄거리 병동"
).split()
# What a number in front of 번 numbers rather than counts.
_NUMBERED = (
    "문제 버스 출구 포트 버튼 항목 노선 국도 사진 방 선수 트랙 타자 승강장 게이트 고객 좌석 채널"
)
_COUNTED = re.compile(
    rf"({_NUMBER})\s?(?:(?P<sino>{'|'.join(_SINO_COUNTERS)})|(?P<native>{'|'.join(_NATIVE_COUNTERS)})"
    rf"|(?P<times>번)(?!호)(?P<what>\s?(?:{'|'.join(_NUMBERED.split())}))?)"
)

_DATE = re.compile(r"\b(\d{4})\s?[-/.]\s?(\d{1,2})\s?[-/.]\s?(\d{1,2})(?!\d)\.?")
_MONTH = re.compile(r"(?<!\d)(\d{1,2})월")
_CLOCK = re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
# A score or a ratio; what could be a time of day has been read before.
_SCORE = re.compile(r"(?<![\d:.])(\d{1,3})\s?:\s?(\d{1,3})(?![\d:])")
_HOUR = re.compile(r"(?<!\d)(\d{1,2})\s?시(?!간|[가-힣]*[장도민])")
_PHONE = re.compile(r"(?<!\d)(0\d{1,2}|1\d{3})-(\d{3,4})(?:-(\d{4}))?(?!\d)")
_VERSION = re.compile(
    r"(?:버전\s)?(?<![\w.])[vV]?(\d+(?:\.\d+){2,})|(?:버전\s)?(?<![\w.])[vV](\d+(?:\.\d+)*)"
)
_RANGE = re.compile(
    rf"({_NUMBER})\s?[~∼〜–]\s?({_NUMBER})\s?([가-힣]{{1,3}}|[A-Za-z%°²³℃]{{1,4}})?"
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
_FIRST = {"한": "첫"}


def read_korean(text: str) -> str:
    """`text` with its numbers, dates, times, units, signs and common English words in Hangul.

    English words that are not in the table and are no abbreviations stay as they are: the voice
    says them in English.
    """
    text = text.replace("℃", "°C").replace("㎡", "m²")
    text = _MIXED.sub(lambda m: MIXED[m[0].lower()], text)
    text = _NTH.sub(lambda m: f"제{sino(int(m[1]))} ", text)
    text = _JOINED.sub(" ", text)
    text = _DATE.sub(_read_date, text)
    text = _PHONE.sub(_read_phone, text)
    text = _CLOCK.sub(_read_clock, text)
    text = _SCORE.sub(lambda m: f"{sino(int(m[1]))} 대 {sino(int(m[2]))}", text)
    text = _RANGE.sub(r"\1\3에서 \2\3", text)
    text = _MONTH.sub(_read_month, text)
    text = _VERSION.sub(_read_version, text)
    text = _FRACTION.sub(lambda m: f"{sino(int(m[2]))}분의 {sino(int(m[1]))}", text)
    text = _SPEED.sub(r"시속 \1km", text)
    text = _BELOW_ZERO.sub(r"영하 \1", text)
    text = _NEGATIVE.sub("마이너스 ", text)
    text = _MONEY.sub(_read_money, text)
    text = _HOUR.sub(lambda m: f"{_hour(int(m[1]))} 시", text)
    text = _COUNTED.sub(_read_counted, text)
    text = _UNIT.sub(_read_unit, text)
    text = _MAGNITUDE.sub(_read_magnitude, text)
    text = _LATIN_WORD.sub(lambda m: _read_word(m[0]), text)
    text = _PLAIN_NUMBER.sub(_read_number, text)
    text = _EQUALS.sub(lambda m: f"{m[1]}{_agreeing('는', m[1])} ", text)
    text = _SIGN.sub(lambda m: f" {SIGNS[m[0]]} ", text)
    return re.sub(r"\s+", " ", text).strip()


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
    said = f"{_hour(int(match[1]))} 시"
    if int(match[2]):
        said += f" {sino(int(match[2]))} 분"
    if match[3]:
        said += f" {sino(int(match[3]))} 초"
    return said


def _hour(number: int) -> str:
    return native(number) if 1 <= number <= 12 else sino(number)


def _read_phone(match: re.Match[str]) -> str:
    return ", ".join(one_by_one(part, phone=True) for part in match.groups() if part)


def _read_version(match: re.Match[str]) -> str:
    numbers = (match[1] or match[2]).split(".")
    said = " 점 ".join(
        sino(int(number)) if len(number) < 5 else one_by_one(number) for number in numbers
    )
    return f"버전 {said}" if match[0][0] in "vV버" else said


def _read_counted(match: re.Match[str]) -> str:
    number = match[1]
    if match["sino"]:
        return f"{decimal(number)} {match['sino']}"
    if match["times"]:
        what = match["what"] or ""
        said = decimal(number) if what else _native(number)
        return f"{said} 번{what}"
    counter = match["native"]
    # People in their twenties: 이십 대.
    if counter == "대" and number.isdigit() and int(number) % 10 == 0:
        return f"{decimal(number)} 대"
    said = _native(number)
    if counter == "번째":
        said = _FIRST.get(said, said)
    return f"{said} {counter}"


def _native(number: str) -> str:
    whole = number.replace(",", "")
    return native(int(whole)) if whole.isdigit() and len(whole) <= 2 else decimal(number)


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
