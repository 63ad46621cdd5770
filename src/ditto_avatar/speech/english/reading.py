"""Puts what a simple English voice stumbles over into words."""

from __future__ import annotations

import re

from ditto_avatar.speech.english.numbers import (
    read_calendar_ranges,
    read_dates,
    read_fractions,
    read_names,
    read_roman,
    read_times,
)
from ditto_avatar.speech.english.tables import (
    ACRONYMS,
    CODES,
    CURRENCIES,
    MAGNITUDES,
    PER,
    SHORT_FORMS,
    SHORT_UNITS,
    SIGNS,
    STRESSED,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    UNITS,
    VULGAR,
)

# Begins where no other number does and keeps what it has matched: otherwise the work would grow
# with the square of its length.
_NUMBER = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,12}+(?:\.\d++)?|\d++(?:\.\d++)?)"
_AMOUNT = rf"(?:{_NUMBER}|(?<![\d.])\.\d++)"
_CURRENCY = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
_MAGNITUDE = "|".join(sorted(MAGNITUDES, key=len, reverse=True))
_LONG_MAGNITUDE = r"\s(?:hundred|thousand|million|billion|trillion)"
_UNIT_NAMES = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_PER_NAMES = "|".join(sorted(PER, key=len, reverse=True))

_SHORT = re.compile(
    r"(?<![\w/])(?:" + "|".join(re.escape(s) for s in SHORT_FORMS) + r")(?![\w/])", re.IGNORECASE
)
_MONEY = re.compile(
    rf"(?P<minus>[-−])?(?<![A-Za-z])(?P<sign>{_CURRENCY})\s?(?P<first>{_AMOUNT})"
    rf"(?:(?P<short1>{_MAGNITUDE})(?![A-Za-z]))?"
    rf"(?:\s?[-–~]\s?(?:{_CURRENCY})?\s?(?P<second>{_AMOUNT}))?"
    rf"(?:(?P<short>{_MAGNITUDE})(?![A-Za-z])|(?P<long>{_LONG_MAGNITUDE}))?"
    rf"(?:\s?/\s?(?P<per>{_PER_NAMES})\b)?(?:\s?(?P<code>US|USD)\b)?"
)
_MONEY_BEHIND = re.compile(
    rf"(?P<first>{_NUMBER})(?:(?P<short>{_MAGNITUDE})(?=[€£¢$]))?\s?(?P<sign>[€£¢$])(?![\d\w])"
)
_CODE = re.compile(
    rf"\b(?:(?P<before>{'|'.join(CODES)})\s?(?P<a>{_NUMBER})|(?P<b>{_NUMBER})\s?"
    rf"(?P<behind>{'|'.join(CODES)}))(?![\w])"
)
_RANGE = re.compile(rf"(?<![\w.,-])({_NUMBER})(?:\s?[–~]\s?|\s?-\s?)({_NUMBER})(?![\w-]|\.\d)")
_UNIT_RANGE = re.compile(
    rf"(?<![\w.,-])({_NUMBER})\s?[-–~]\s?({_NUMBER})(?=\s?(?:{_UNIT_NAMES})(?![\w/]))"
)
# Written as in most of Europe; before a unit it can be nothing else.
_DECIMAL_COMMA = re.compile(
    rf"(?<![\d.,])(\d{{1,3}}),(\d{{1,2}})(?=\s?(?:[%°]|{_UNIT_NAMES})(?!\w))"
)
_INCHES = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[\"″](?!\w)")
_NAMED_RANGE = re.compile(r"(?<=[A-Za-z])\s?–\s?(?=[A-Z])|(?<=\d)\s?–\s?(?=[A-Z])")
_DECADE_RANGE = re.compile(r"(?<![\w.,-])(\d{2,4}s)\s?[-–]\s?(\d{2,4}s)\b")
_UNIT = re.compile(rf"({_NUMBER})\s?({_UNIT_NAMES})(?![\w/²³])")
_PER_UNIT = re.compile(rf"(?<=[a-z%])\s?/\s?({_PER_NAMES})\b")
_SHORT_UNIT = re.compile(rf"({_NUMBER})\s?({'|'.join(SHORT_UNITS)})(?![\w/'’-])")
_FEET = re.compile(r"(?<![\w.])(\d{1,2})['′]\s?(\d{1,2})(?:[\"″]|'')")
_VERSION = re.compile(r"(?:\b[vV]ersion )?\b[vV]\.?\s?(\d+(?:\.\d+)*)\b")
_DOTTED = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}(?!\w|\.\d)")
_PERCENT_RANGE = re.compile(r"(?<=\d%)\s?[-–~]\s?(?=\d)|(?<=\d°)\s?[-–~]\s?(?=\d)")
_NEGATIVE = re.compile(rf"(?<![\w)\]%°])[-−](?={_NUMBER})")
_MINUS = re.compile(r"(?<=[\w)]) [-−] (?=[\d(])")
_SIZE = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)\s?[xX×]\s?(\d+(?:\.\d+)?)(?:\s?[xX×]\s?(\d+))?(?![\w])"
)
_TIMES = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[xX](?![\w])")
_POWER = re.compile(r"(?<=[\w)])(?:\^|\*\*)\s?[{(]?([-−+]?\w+)[)}]?")
_RAISED = re.compile(r"([A-Za-z]*[\w)])([⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+)")
_LOWERED = re.compile(r"(?<=\w)([₀-₉]+)")
_FORMULA = re.compile(r"\b(?=[A-Za-z\d]*\d)(?:[A-Z][a-z]?\d{0,2}){2,}(?![\w])")
_ELEMENTS = re.compile(r"(H|C|N|O|S|P|F|K|I|He|Na|Mg|Al|Si|Cl|Ca|Fe|Cu|Zn|Ag|Au|Pb|Hg|Br|Li)(\d*)")
_NUMBER_SIGN = re.compile(r"(?<![\w&])#\s?(?=\d)")
_HASHTAG = re.compile(r"(?<![\w&])#(?=[A-Za-z])")
_SHARP = re.compile(r"\b([A-GJ])#(?!\w)")
_PLUSES = re.compile(r"\b([A-Za-z])\+\+(?!\w)")
_PLUS = re.compile(r"(?<=[\w)])\s?\+\s?(?=[\w(])|(?<=[\w)])\+(?!\w)|(?<![\w+])\+(?=\d)")
_COMPARED = re.compile(r"(?<=[\w)])\s?([<>])\s?(?=[\w(-])")
_ABOUT = re.compile(rf"(?<![\w~])[~≈]\s?(?={_NUMBER}|[$€£])")
_SIGN = re.compile("|".join(re.escape(s) for s in sorted(SIGNS, key=len, reverse=True)))
_EITHER = re.compile(r"\b(he|him|his|she|her|yes|true|pass|on|win|either)/(\w+)", re.IGNORECASE)
_SLASH = re.compile(r"(?<=[A-Za-z])\s?/\s?(?=[A-Za-z])")
_HANDLE = re.compile(r"(?<![\w.])@(?=\w)")
_CAPITALS = re.compile(r"\b[A-Z][A-Z'’]*\b")
_LONGEST_FORMULA = 14


def read_english(text: str) -> str:
    """`text` with money, dates, times, telephone numbers, units, ranges, powers, Roman numerals,
    signs and short forms in words. Numbers that are quantities stay: every voice reads those."""
    text = text.replace("℃", "°C").replace("℉", "°F").replace("Ω", "Ω")
    text = re.sub(r"(\d?)([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])", _vulgar, text)
    text = _SHORT.sub(_short, text)
    text = _without_shouting(text)
    text = read_dates(text)
    text = read_calendar_ranges(text)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    text = _MONEY.sub(_money, text)
    text = _MONEY_BEHIND.sub(_money_behind, text)
    text = _CODE.sub(lambda m: f"{m['a'] or m['b']} {CODES[m['before'] or m['behind']]}", text)
    text = read_times(text)
    text = _UNIT_RANGE.sub(r"\1 to \2", text)
    text = read_names(text)
    text = _PERCENT_RANGE.sub(" to ", text)
    text = _DECADE_RANGE.sub(r"\1 to \2", text)
    text = _RANGE.sub(_range, text)
    text = _NAMED_RANGE.sub(" to ", text)
    text = read_fractions(text)
    text = read_roman(text)
    text = _SIZE.sub(_size, text)
    text = _TIMES.sub(r"\1 times", text)
    text = _FEET.sub(r"\1 foot \2", text)
    if text.count('"') % 2:  # else they are quotation marks
        text = _INCHES.sub(lambda m: f"{m[1]} inch{'' if m[1] == '1' else 'es'}", text)
    text = _NEGATIVE.sub("minus ", text)
    text = _MINUS.sub(" minus ", text)
    text = _UNIT.sub(_unit, text)
    text = _SHORT_UNIT.sub(_unit, text)
    text = _PER_UNIT.sub(lambda m: f" per {PER[m[1]]}", text)
    text = _VERSION.sub(lambda m: "version " + m[1].replace(".", " point "), text)
    text = _DOTTED.sub(_dotted, text)
    text = _read_raised(text)
    text = _read_signs(text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ([,.;:!?])", r"\1", text).strip()


def _short(match: re.Match[str]) -> str:
    # The dot of "etc." is a full stop as well where the text ends.
    ends = match[0].endswith(".") and not match.string[match.end() :].strip()
    return f"{SHORT_FORMS[match[0].lower()]}{'.' if ends else ' '}"


def _vulgar(match: re.Match[str]) -> str:
    return f"{match[1]} {VULGAR[match[2]]}" if match[1] else VULGAR[match[2]]


def _without_shouting(text: str) -> str:
    """Lower the case of words in capitals that are words, so that nobody spells them."""
    words = [
        m[0]
        for m in _CAPITALS.finditer(text)
        if m[0] not in ACRONYMS and m[0] not in UNITS and not text[: m.start()].endswith("-")
    ]
    letters = sum(character.isalpha() for character in text)
    shouted = sum(len(word) for word in words if len(word) > 1)
    # A text without any word in lower case shouts as a whole.
    lower = len(re.findall(r"\b[A-Za-z]*[a-z][A-Za-z]*\b", text))
    shouts = shouted > 3 and not lower and len(words) > 1 and letters > 4

    def lowered(match: re.Match[str]) -> str:
        word = match[0]
        if len(word) == 1:
            return word
        shouted_word = shouts and word not in ACRONYMS and word not in UNITS
        stressed = word in STRESSED and lower > 1 and word not in {"AM", "IN", "IS", "AS", "AD"}
        return word.lower() if shouted_word or stressed else word

    return _CAPITALS.sub(lowered, text)


def _money(match: re.Match[str]) -> str:
    one, several, part, parts = CURRENCIES[match["sign"]]
    if match["code"] and match["sign"] == "$":
        one, several = "U S dollar", "U S dollars"
    minus = "minus " if match["minus"] else ""
    per = f" per {PER[match['per']]}" if match["per"] and match["per"] != "each" else ""
    first, second = match["first"], match["second"]
    short = match["short"] or (match["short1"] if not second else None)
    if match["short1"] and not second:
        short = match["short1"]
    magnitude = MAGNITUDES[short] if short else (match["long"] or "").strip()
    tail = f" {magnitude}" if magnitude else ""
    if second:
        lead = f" {MAGNITUDES[match['short1']]}" if match["short1"] else ""
        return f"{minus}{first}{lead} to {second}{tail} {several}{per}"
    if magnitude:
        return f"{minus}{first}{tail} {several}{per}"
    return f"{minus}{_sum(first, one, several, part, parts)}{per}"


def _sum(amount: str, one: str, several: str, part: str, parts: str) -> str:
    whole, _, fraction = amount.partition(".")
    cents = int(fraction) if len(fraction) == 2 else 0
    if not whole.strip("0") and part and cents:
        return f"{cents} {part if cents == 1 else parts}"
    said = f"{whole or '0'} {one if whole == '1' else several}"
    if part and cents:
        return f"{said} and {cents} {part if cents == 1 else parts}"
    return f"{whole or '0'}.{fraction} {several}" if fraction.strip("0") else said


def _money_behind(match: re.Match[str]) -> str:
    if match["sign"] == "¢":
        return f"{match['first']} cent{'' if match['first'] == '1' else 's'}"
    magnitude = f" {MAGNITUDES[match['short']]}" if match["short"] else ""
    one, several, part, parts = CURRENCIES[match["sign"]]
    if magnitude:
        return f"{match['first']}{magnitude} {several}"
    return _sum(match["first"], one, several, part, parts)


def _range(match: re.Match[str]) -> str:
    """A range; with spaces around a hyphen it is a subtraction where the first is larger."""
    between = match[0][len(match[1]) : len(match[0]) - len(match[2])]
    larger = float(match[1].replace(",", "")) > float(match[2].replace(",", ""))
    if between == " - " and (larger or "=" in match.string):
        return f"{match[1]} minus {match[2]}"
    return f"{match[1]} to {match[2]}"


def _dotted(match: re.Match[str]) -> str:
    """``10.000.000`` as it is written in Europe; else a version or an address."""
    groups = match[0].split(".")
    address = len(groups) == 4 and all(int(group) < 256 for group in groups)
    if len(groups[0]) < 4 and all(len(group) == 3 for group in groups[1:]) and not address:
        return match[0].replace(".", ",")
    return match[0].replace(".", " point ")


def _size(match: re.Match[str]) -> str:
    by = " times " if "×" in match[0] and " " in match[0] else " by "
    return by.join(part for part in match.groups() if part)


def _unit(match: re.Match[str]) -> str:
    one, several = UNITS.get(match[2]) or SHORT_UNITS[match[2]]
    return f"{match[1]} {one if match[1] == '1' else several}"


def _read_raised(text: str) -> str:
    text = _LOWERED.sub(lambda m: m[1].translate(SUBSCRIPTS), text)
    text = _FORMULA.sub(_formula, text)
    text = _RAISED.sub(_raised, text)
    return _POWER.sub(lambda m: _to_the(m[1]), text)


def _formula(match: re.Match[str]) -> str:
    """``H2O`` letter by letter, if all of it is elements."""
    parts = _ELEMENTS.findall(match[0])
    if len(match[0]) > _LONGEST_FORMULA or "".join(a + b for a, b in parts) != match[0]:
        return match[0]
    return " ".join(f"{' '.join(name.upper())} {count}".strip() for name, count in parts)


def _raised(match: re.Match[str]) -> str:
    base, power = match[1], match[2].translate(SUPERSCRIPTS)
    if len(base) > 3 and base.isalpha():
        return base  # the number of a footnote
    # "mc²" is a product: only the last letter is raised.
    return " ".join(base) + _to_the(power) if base.isalpha() else base + _to_the(power)


def _to_the(power: str) -> str:
    if power in {"2", "3"}:
        return " squared" if power == "2" else " cubed"
    minus = "minus " if power[0] in "-−" else ""
    return f" to the power of {minus}{power.lstrip('-−+')}"


def _read_signs(text: str) -> str:
    text = _NUMBER_SIGN.sub("number ", text)
    text = _HASHTAG.sub("hashtag ", text)
    text = _SHARP.sub(r"\1 sharp", text)
    text = _PLUSES.sub(r"\1 plus plus", text)
    text = _ABOUT.sub("about ", text)
    text = _HANDLE.sub("at ", text)
    text = re.sub(r"<=|=<", "≤", text).replace(">=", "≥")
    text = re.sub(r"\s*[-=]+>\s*", ", ", text)
    text = _COMPARED.sub(lambda m: f" is {'less' if m[1] == '<' else 'greater'} than ", text)
    text = re.sub(r"(?<!\w)<\s?(?=\d)", "less than ", text)
    text = re.sub(r"(?<!\w)>\s?(?=\d)", "more than ", text)
    text = _PLUS.sub(" plus ", text)
    text = _SIGN.sub(lambda m: f" {SIGNS[m[0]]} ", text)
    text = _EITHER.sub(r"\1 or \2", text)
    text = _SLASH.sub(" ", text)
    return re.sub(r"[_^~|\\{}<>]+", " ", text)
