"""Puts what a simple English voice stumbles over into words: money, dates, units, short forms.

Only for the embedded voice; the services' voices read all of this themselves.
"""

from __future__ import annotations

import re

# Begins where no other number does and keeps what it has matched: otherwise the work would grow
# with the square of its length.
_NUMBER = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,12}+(?:\.\d++)?|\d++(?:\.\d++)?)"
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "₩": ("won", ""),
}
_PLURALS = {"penny": "pence", "yen": "yen", "won": "won"}
_MAGNITUDES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion"}

# Unit → its name for one and for several.
_UNITS = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "m/s": ("meter per second", "meters per second"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters"),
    "fps": ("frame per second", "frames per second"),
    "sec": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "lbs": ("pound", "pounds"),
    "lb": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "Hz": ("hertz", "hertz"),
    "dB": ("decibel", "decibels"),
    "px": ("pixel", "pixels"),
    **{
        f"{sign}{unit}": (f"{prefix}{name}", f"{prefix}{name}s")
        for unit, name, prefixes in (
            ("m", "meter", {"k": "kilo", "c": "centi", "m": "milli", "n": "nano"}),
            ("g", "gram", {"k": "kilo", "m": "milli"}),
            ("B", "byte", {"K": "kilo", "k": "kilo", "M": "mega", "G": "giga", "T": "tera"}),
            ("s", "second", {"m": "milli", "µ": "micro", "n": "nano"}),
            ("L", "liter", {"m": "milli"}),
            ("l", "liter", {"m": "milli"}),
            ("W", "watt", {"k": "kilo", "M": "mega"}),
        )
        for sign, prefix in prefixes.items()
    },
}
_SHORT_FORMS = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "w/o": "without",
    "w/": "with",
}

_MONEY = re.compile(
    rf"([{re.escape(''.join(_CURRENCIES))}])\s?({_NUMBER})(?:([kKMB])\b|(\s(?:thousand|million|"
    r"billion|trillion)))?"
)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_RANGE = re.compile(rf"(?<![\w.,-])({_NUMBER})\s?[-–~]\s?({_NUMBER})(?![\w-]|\.\d)")
_UNIT = re.compile(
    rf"({_NUMBER})\s?("
    + "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
    + r")(?![\w/])"
)
_VERSION = re.compile(r"\b[vV](\d+(?:\.\d+)*)\b")
_NEGATIVE = re.compile(rf"(?<![\w)])[-−](?={_NUMBER})")
_SHORT = re.compile(
    r"(?<!\w)(?:" + "|".join(re.escape(short) for short in _SHORT_FORMS) + r")(?!\w)", re.IGNORECASE
)
_BETWEEN_SIGNS = {"×": "times", "÷": "divided by", "=": "equals", "&": "and", "≈": "about"}


def read_english(text: str) -> str:
    """`text` with money, ISO dates, units, ranges, versions and short forms in words."""
    text = text.replace("℃", "°C").replace("℉", "°F")
    text = _SHORT.sub(lambda match: _SHORT_FORMS[match[0].lower()] + " ", text)
    text = _ISO_DATE.sub(_read_date, text)
    text = _MONEY.sub(_read_money, text)
    text = _RANGE.sub(r"\1 to \2", text)
    text = _NEGATIVE.sub("minus ", text)
    text = _UNIT.sub(_read_unit, text)
    text = _VERSION.sub(lambda match: "version " + match[1].replace(".", " point "), text)
    text = re.sub(r"[×÷=&≈]", lambda match: f" {_BETWEEN_SIGNS[match[0]]} ", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ([,.;:!?])", r"\1", text).strip()


def _read_date(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{_MONTHS[month - 1]} {day}{_ordinal(day)}, {year}"


def _ordinal(day: int) -> str:
    if day in {11, 12, 13}:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _read_money(match: re.Match[str]) -> str:
    sign, amount, short, long = match.groups()
    name, part = _CURRENCIES[sign]
    if short or long:
        magnitude = _MAGNITUDES[short] if short else long.strip()
        return f"{amount} {magnitude} {_several(name)}"
    whole, _, fraction = amount.partition(".")
    said = f"{whole} {name if whole == '1' else _several(name)}"
    if len(fraction) == 2 and part and int(fraction):
        cents = int(fraction)
        return f"{said} and {cents} {part if cents == 1 else _several(part)}"
    return f"{amount} {_several(name)}" if fraction.strip("0") else said


def _several(name: str) -> str:
    return _PLURALS.get(name, f"{name}s")


def _read_unit(match: re.Match[str]) -> str:
    one, several = _UNITS[match[2]]
    return f"{match[1]} {one if match[1] == '1' else several}"
