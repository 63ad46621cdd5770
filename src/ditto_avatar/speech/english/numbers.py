"""Numbers that are no quantities: telephone numbers, times, dates, fractions, Roman numerals."""

from __future__ import annotations

import re

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MONTHS = (
    "January February March April May June July August September October November December"
).split()
_PARTS = {
    2: ("half", "halves"),
    3: ("third", "thirds"),
    4: ("quarter", "quarters"),
    5: ("fifth", "fifths"),
    6: ("sixth", "sixths"),
    7: ("seventh", "sevenths"),
    8: ("eighth", "eighths"),
    9: ("ninth", "ninths"),
    10: ("tenth", "tenths"),
    12: ("twelfth", "twelfths"),
    16: ("sixteenth", "sixteenths"),
    20: ("twentieth", "twentieths"),
    32: ("thirty-second", "thirty-seconds"),
    64: ("sixty-fourth", "sixty-fourths"),
    100: ("hundredth", "hundredths"),
}
_ROMAN = re.compile(
    r"(?=[IVXLC])(C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})",
)
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

# Digits behind these name something and count nothing.
_NAMED_BY_DIGITS = (
    "order|serial|account|acct|card|invoice|ticket|tracking|reference|ref|confirmation|booking|"
    "reservation|passport|license|licence|routing|case|claim|policy|member|membership|customer|"
    "employee|student|isbn|ssn|vin|id|pin|passcode|password|code|zip|zip code|postcode|"
    "postal code|otp|extension|ext\\.?|phone|telephone|tel\\.?|fax|mobile|cell|hotline|helpline|"
    "serial number|number|no\\.|nr\\."
)
_TO_CALL = r"call(?:ed|ing)?|dial(?:ed|ing|led|ling)?|text|phone|ring|fax|whatsapp|sms"
_GROUP = r"\d{1,}"
# Groups of digits with hyphens, spaces, dots or brackets between them.
_TELEPHONE = re.compile(
    r"(?<![\w.,/-])(?:"
    r"(?P<plus>\+)\s?\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}"
    r"|\+?1[ .-]\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}"
    r"|\(\d{3}\)\s?\d{3}[ .-]\d{4}"
    r"|\d{3}[.-]\d{3}[.-]\d{4}|\d{3} \d{3} \d{4}"
    r"|0\d{1,4}[ -]\d{3,4}[ -]\d{3,4}|0\d{3,4} \d{6}"
    r"|[2-9]\d{2}-\d{4}(?<!-[12][09]\d\d)|[2-9]\d{2}-[01]\d{3}"
    r")(?!\w|[.,/-]\d)"
)
_SERIAL = re.compile(r"(?<![\w.,/-])\d+(?:-\d+){2,}(?![\w/-]|\.\d)")
_PAIR = re.compile(r"(?<![\w.,/-])(\d+)-(\d+)(?![\w/-]|[.,]\d)")
_CALLED = re.compile(
    rf"\b(?P<cue>{_TO_CALL})(?P<words>(?: (?:me|us|at|on|to|the|number|now|back|him|her|them))*:? )"
    rf"(?P<digits>\d{{3,15}})(?!\w|[.,:/%-]\d|-|,\d| (?:people|times|friends|men|women|witnesses))",
    re.IGNORECASE,
)
_CUED = re.compile(
    rf"\b(?P<cue>(?:{_NAMED_BY_DIGITS})(?: (?:number|code|no\.|id))?(?: (?:is|was|are))?[:#]? ?#?)"
    rf"(?P<digits>\d{{4,}}(?:[ -]\d{{2,}})*)(?!\w|[.,:/%]\d|,\d)",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\w.,$€£¥₩/+-])(?:0\d+|\d{10,})(?![\w/-]|[.,:]\d)")
_AGENT = re.compile(r"(?<![\w.,$€£¥₩/+-])00(\d)(?![\w/-]|[.,:]\d)")


def digit_by_digit(number: str) -> str:
    """Read each digit of every group by itself, with a pause between groups."""
    groups = re.findall(r"\d+", number)
    return ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups)


def read_names(text: str) -> str:
    """Read the digits of telephone, serial and card numbers one by one."""
    text = _TELEPHONE.sub(_telephone, text)
    text = _CALLED.sub(lambda m: f"{m['cue']}{m['words']}{digit_by_digit(m['digits'])}", text)
    text = _CUED.sub(_cued, text)
    text = _SERIAL.sub(_serial, text)
    text = _PAIR.sub(_pair, text)
    return _LONG.sub(lambda m: digit_by_digit(m[0]), text)


def _telephone(match: re.Match[str]) -> str:
    said = digit_by_digit(match[0])
    return f"plus {said}" if match[0].startswith("+") else said


def _cued(match: re.Match[str]) -> str:
    digits = match["digits"]
    # "number 1984" may be a year or a quantity; groups, zeros in front and codes are neither.
    cue = match["cue"].strip().lower()
    plain = cue in {"number", "no.", "nr.", "case", "policy", "code", "text", "cell"}
    if plain and digits.isdigit() and len(digits) < 5 and not digits.startswith("0"):
        return match[0]
    lead = "" if match["cue"].endswith(" ") else " "
    return (
        f"{match['cue'].replace('#', '').rstrip()} {digit_by_digit(digits)}".replace("  ", " ")
        if match["cue"].strip()
        else lead + digit_by_digit(digits)
    )


def _serial(match: re.Match[str]) -> str:
    parts = match[0].split("-")
    if len(parts) == 3 and len(parts[0]) == 4 and len(parts[1]) == len(parts[2]) == 2:
        return match[0]  # a date in ISO form that is none, or has been read
    return digit_by_digit(match[0])


def _pair(match: re.Match[str]) -> str:
    """Two numbers with a hyphen: a range where the first is smaller or both are times of day, a
    share ("50-50"), else a serial number."""
    first, second = match[1], match[2]
    zeros = any(len(part) > 1 and part.startswith("0") for part in (first, second))
    longest = max(len(first), len(second))
    if zeros or longest > 5 or (longest == 5 and int(first) >= int(second)):
        return digit_by_digit(match[0])
    if first == second:
        return f"{first} {second}"
    return f"{first} to {second}"


# Times ------------------------------------------------------------------------------------------

_MERIDIEM = r"(?:\s?(?P<half>[ap])\.?\s?m(?![A-Za-z])(?P<dot>\.?))"
_CLOCK = re.compile(
    rf"(?<![\d:.])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:])"
    rf"{_MERIDIEM}?",
    re.IGNORECASE,
)
_HOUR = re.compile(rf"(?<![\w:.,])(?P<hour>1[0-2]|0?[1-9]){_MERIDIEM}", re.IGNORECASE)
_BETWEEN_TIMES = re.compile(r"(?<=\d [ap] m)\s?[-–~]\s?(?=\d)|(?<=o'clock)\s?[-–~]\s?(?=\d)")
_RATIO = re.compile(r"(?<![\d:.])(\d{1,3}):(\d{1,3})(?![\d:])")
_DURATION = re.compile(r"(?<![\d:.])(\d{1,3}):([0-5]\d):([0-5]\d)(?![\d:])")


def read_times(text: str) -> str:
    """Read ``9:00`` as nine o'clock, ``8:05 am`` as eight oh five a m, ``16:9`` as a ratio."""
    text = _CLOCK.sub(_clock, text)
    text = _HOUR.sub(_hour, text)
    text = _BETWEEN_TIMES.sub(" to ", text)
    return _RATIO.sub(r"\1 to \2", text)


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    half = _half(match)
    if match["second"]:
        if not half and len(match["hour"]) == 1:
            parts = [(hour, "hour"), (minute, "minute"), (int(match["second"]), "second")]
            return ", ".join(f"{n} {name}{'' if n == 1 else 's'}" for n, name in parts if n)
        return f"{hour} {_minutes(minute)} and {int(match['second'])} seconds{half}"
    if minute:
        return f"{hour} {_minutes(minute)}{half}"
    if half:
        return f"{hour}{half}"
    if hour in {0, 24}:
        return "midnight"
    return f"{hour} o'clock" if hour <= 12 else f"{hour} hundred hours"


def _minutes(minute: int) -> str:
    return str(minute) if minute > 9 else f"oh {minute}"


def _hour(match: re.Match[str]) -> str:
    return f"{int(match['hour'])}{_half(match)}"


def _half(match: re.Match[str]) -> str:
    if not match["half"]:
        return ""
    after = match.string[match.end() : match.end() + 2]
    # The dot of "p.m." also ends the sentence.
    ends = match["dot"] and (not after.strip() or (after[0] == " " and after[1:].isupper()))
    return f" {match['half'].lower()} m{'.' if ends else ''}"


# Dates and fractions ----------------------------------------------------------------------------

_ISO_DATE = re.compile(r"(?<![\w/-])(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?![\w/-]|\.\d)")
_SLASH_DATE = re.compile(r"(?<![\w/.])(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?![\w/-]|\.\d)")
_DAY = re.compile(
    r"\b(on|by|until|till|from|since|before|after|due|dated|of|for|and|to|through)"
    r" (\d{1,2})/(\d{1,2})(?![\w/]|\.\d)",
    re.IGNORECASE,
)
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _calendar(names: list[str]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Two short names of a calendar with a hyphen or a dash between, and what they stand for."""
    short = {name[:3]: name for name in names}
    name = rf"((?:{'|'.join(short)})(?:s|r|rs|t)?)"
    end = r"(?:\.(?=\s+[a-z\d]))?(?![\w-])"  # a dot before a small letter ends no sentence
    return re.compile(rf"\b{name}\.?\s?[-–]\s?{name}{end}"), short


_CALENDARS = (_calendar(_WEEKDAYS), _calendar(MONTHS))
_LISTED_DAY = re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\.?(?=:)")
_NAMED_DAYS = {"9/11": "nine eleven", "7/7": "seven seven", "24/7": "24 7", "20/20": "20 20"}
_MIXED_FRACTION = re.compile(r"(?<![\w/.])(\d+)[ -](\d{1,3})[/⁄](\d{1,3})(?![\w/]|\.\d)")
_FRACTION = re.compile(
    r"(?<![\w/.])(\d{1,3})[/⁄](\d{1,3})(?:(?:st|nd|rd|th|ths|rds)\b)?(?![\w/]|\.\d)"
)
# Where one is in a row of things, which is no part of one.
_COUNTED = re.compile(
    r"\b((?:page|step|slide|part|item|question|lesson|chapter|task|exercise|round|lap|track|frame|"
    r"attempt|try|photo|image|issue|episode|level|stage|day|week|test|file|chunk|batch)s?) "
    r"(\d{1,4})[/⁄](\d{1,4})(?![\w/]|\.\d)",
    re.IGNORECASE,
)
_RATED = re.compile(r"(?:rat|scor|gave|give|got|get|grade|mark|is a|was a|solid|passed)\S*\W", re.I)


def read_dates(text: str) -> str:
    """Read dates with hyphens, slashes and dots, American order where both are possible."""
    text = _ISO_DATE.sub(lambda m: _date(m[0], int(m[1]), int(m[2]), int(m[3])), text)
    text = _SLASH_DATE.sub(_slash_date, text)
    return _DAY.sub(_day, text)


def read_calendar_ranges(text: str) -> str:
    """Read ``Mon-Fri`` as Monday to Friday, ``Jan-Mar`` as January to March, and the days of a
    list, ``Sat: 10 to 4``."""
    for ranges, names in _CALENDARS:
        for match in reversed(list(ranges.finditer(text))):
            said = f"{names[match[1][:3]]} to {names[match[2][:3]]}"
            text = f"{text[: match.start()]}{said}{text[match.end() :]}"
    return _LISTED_DAY.sub(lambda m: f"{_CALENDARS[0][1][m[1]]}", text)


def read_fractions(text: str) -> str:
    """Read ``1/2`` as one half, ``2 1/2`` as two and a half, ``7/10`` as seven out of ten,
    ``page 3/12`` as page 3 of 12."""
    text = _COUNTED.sub(r"\1 \2 of \3", text)
    text = _MIXED_FRACTION.sub(_mixed, text)
    return _FRACTION.sub(_fraction, text)


def ordinal(number: int) -> str:
    """``1st``, ``22nd``, ``113th``."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _date(raw: str, year: int | None, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return raw
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    return said if year is None else f"{said}, {year}"


def _slash_date(match: re.Match[str]) -> str:
    first, second, year = int(match[1]), int(match[2]), int(match[3])
    separators = re.findall(r"[/.-]", match[0])
    if len(set(separators)) > 1 or (separators[0] != "/" and len(match[3]) < 4):
        return match[0]
    if len(match[3]) == 2:
        year += 2000 if year < 70 else 1900
    if separators[0] == "." or first > 12:
        first, second = second, first
    return _date(match[0], year, first, second)


def _day(match: re.Match[str]) -> str:
    first, second = int(match[2]), int(match[3])
    if f"{first}/{second}" in _NAMED_DAYS or (first < second and second in _PARTS and second < 13):
        return match[0]
    if first > 12:
        first, second = second, first
    return f"{match[1]} {_date(match[0][len(match[1]) + 1 :], None, first, second)}"


def _mixed(match: re.Match[str]) -> str:
    whole, part, of = match[1], int(match[2]), int(match[3])
    if of not in _PARTS or not 0 < part < of:
        return match[0]
    said = f"a {_PARTS[of][0]}" if part == 1 else f"{part} {_PARTS[of][1]}"
    return f"{whole} and {said}"


def _fraction(match: re.Match[str]) -> str:
    plain = f"{match[1]}/{match[2]}"
    part, of = int(match[1]), int(match[2])
    if plain in _NAMED_DAYS:
        return _NAMED_DAYS[plain]
    if part == of and of >= 10 and of != 100:
        return f"{part} {of}" if of == 50 else f"{part} out of {of}"
    rated = _RATED.search(match.string[max(0, match.start() - 24) : match.start()])
    if of not in _PARTS or part >= of or (rated and of in {5, 10, 20, 100}) or not part:
        if part > of and of in _PARTS and of < 10 and not rated:
            return f"{part} {_PARTS[of][1]}"
        return f"{part} out of {of}" if part <= of else f"{part} over {of}"
    if of == 10 and match[0][-1].isdigit():
        return f"{part} out of {of}"
    one = {1: "one"}.get(part, str(part))
    return f"{one} {_PARTS[of][0 if part == 1 else 1]}"


# Roman numerals ---------------------------------------------------------------------------------

_PARTS_OF_WORKS = (
    "war|act|scene|chapter|part|volume|vol\\.|book|section|sec\\.|phase|type|class|stage|level|"
    "article|title|appendix|episode|grade|mark|series|tier|category|group|division|table|figure|"
    "fig\\.|unit|canto|verse|lesson|module|step|round|bowl|symphony|concerto|sonata|opus|no\\.|"
    "number|schedule|annex|exhibit|rule|factor|generation|gen|model|apollo|gemini|saturn|vatican"
)
_RULERS = (
    "henry|louis|elizabeth|george|edward|richard|charles|james|william|paul|benedict|pius|leo|"
    "gregory|alexander|nicholas|catherine|ramses|ramesses|rameses|napoleon|philip|felipe|carlos|"
    "juan|frederick|friedrich|wilhelm|ivan|peter|clement|innocent|urban|boniface|julius|mary|"
    "margaret|christian|gustav|haakon|harald|olav|carl|leopold|albert|alfonso|ferdinand|francis|"
    "joseph|otto|conrad|thutmose|amenhotep|darius|xerxes|cyrus|ptolemy|cleopatra|victor|emmanuel|"
    "umberto|selim|mehmed|murad|suleiman|constantine|justinian|john|anne|robert|david|malcolm|"
    "kenneth|stephen|baldwin|godfrey|pope|king|queen|tsar|emperor|abbas|mohammed|hassan|rama"
)
_WORLD_WAR = re.compile(r"\bWW ?-?(I{1,3}|[123])(?![\w-])")
_NUMERAL = r"(?P<roman>[IVXLC]+)(?P<tail>(?![\w'’.-]*\w))"
_IN_WORK = re.compile(rf"\b(?P<name>(?i:{_PARTS_OF_WORKS})s?) {_NUMERAL}")
_OF_RULER = re.compile(rf"\b(?P<name>(?i:{_RULERS})) (?P<roman>[IVX]+)(?P<own>['’]s)?(?![\w-])")
_OF_NAME = re.compile(r"\b(?P<name>[A-Z][a-z]{2,}) (?P<roman>[IVX]{2,})(?P<own>['’]s)?(?![\w-])")
_OF_CENTURY = re.compile(r"\b(?P<roman>[IVX]+)(?:th|st|nd|rd)?(?= [Cc]entur(?:y|ies)\b)")
_RULER_GOES_ON = re.compile(
    r"\s*(?:$|[,.;:!?)]|(?:was|is|of|ruled|reigned|died|became|had|and|who|in|the|spoke|married|"
    r"said|came|from|to|by|defeated|built|wrote)\b)"
)


def read_roman(text: str) -> str:
    """Read Roman numerals: of wars, acts and chapters as numbers, of rulers as ordinals."""
    text = _WORLD_WAR.sub(lambda m: f"World War {roman(m[1]) or m[1]}", text)
    text = _OF_CENTURY.sub(lambda m: _ordinal_of(m["roman"], m[0]), text)
    text = _IN_WORK.sub(_in_work, text)
    text = _OF_RULER.sub(_of_ruler, text)
    return _OF_NAME.sub(_of_name, text)


def roman(numeral: str) -> int | None:
    """The value of a well-formed Roman numeral below 400, None for other letters."""
    if not numeral or _ROMAN.fullmatch(numeral) is None:
        return None
    values = [_VALUES[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _ordinal_of(numeral: str, raw: str) -> str:
    value = roman(numeral)
    return raw if value is None else ordinal(value)


def _in_work(match: re.Match[str]) -> str:
    value = roman(match["roman"])
    return match[0] if value is None else f"{match['name']} {value}"


def _of_ruler(match: re.Match[str]) -> str:
    value = roman(match["roman"])
    if value is None:
        return match[0]
    if match["roman"] == "X" and match["name"].lower() not in {"pope", "leo", "louis", "charles"}:
        return match[0]
    if match["roman"] in {"I", "X"} and not _RULER_GOES_ON.match(match.string[match.end() :]):
        return match[0]
    return f"{match['name']} the {ordinal(value)}{match['own'] or ''}"


def _of_name(match: re.Match[str]) -> str:
    value = roman(match["roman"])
    if value is None or match["name"].lower() in {"the", "and", "her", "his", "our", "this", "use"}:
        return match[0]
    return f"{match['name']} {value}{match['own'] or ''}"
