"""Korean numbers that are no quantities: telephone and account numbers, memorial days, ranges."""

from __future__ import annotations

import re

from ditto_avatar.speech.korean.counting import approximate, counted, counter_of
from ditto_avatar.speech.korean.numbers import one_by_one, sino

_DASH = r"[-‐–]"
_TELEPHONE = re.compile(
    r"(?<![\d.,])(?P<plus>\+\s?\d{1,3}[-\s)]?)?\(?(?P<a>0\d{1,3}|\d{2,3}(?<=\d))\)?"
    r"[-)\s.]\s?(?P<b>\d{3,4})[-\s.](?P<c>\d{4})(?!\d|[-.]\d)"
)
_MOBILE = re.compile(r"(?<![\d.,])(01[016789])(\d{3,4})(\d{4})(?!\d|,\d)")
_SHORT_PHONE = re.compile(
    r"(?<![\d.,/-])(1[568]\d{2}|0\d{1,3}|[2-9]\d{2})-(\d{3,4})(?![\d]|[-/]\d)"
)
_GROUPS = re.compile(r"(?<![\d.,/-])\d{2,6}(?:-\d{2,8}){2,4}(?![\d/-])")
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_CUED = re.compile(
    r"(?P<cue>(?:비밀번호|인증번호|우편번호|계좌번호|카드번호|주문번호|예약번호|승인번호|"
    r"등록번호|송장번호|운송장번호|접수번호|"
    r"사번|학번|군번|일련번호|차량번호|주민번호|주민등록번호|여권번호|사업자번호|고유번호|"
    r"회원번호|전화번호|연락처|휴대폰|"
    r"핸드폰|팩스|내선번호|내선|번호|암호|코드|비번|핀번호|핀|OTP|PIN|ID|아이디)"
    r"(?:은|는|이|가|:|을|를)?\s?:?\s?)(?P<digits>\d{3,}(?:[-\s]\d{2,})*)(?!\d|[.,:]\d|"
    r"\s?[번개명원월년]|%)",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\d.,:/])(?:0\d+|\d{11,})(?!\d|[.,:/]\d|\.\d)")
_EMERGENCY = re.compile(
    r"(?<![\d.,-])(11[0-9]|120|182|129|132|1[03]\d{2}|911|999)(?=\s?(?:에|로|번으로|번에|에다|"
    r"구급|구조|신고|상황실|"
    r"센터|대원|콜센터|안전|차량|전화))(?!에서|\s?센티)(?!\d|[.,]\d)"
)
_CALLED = re.compile(
    r"(?P<cue>(?:신고|전화|긴급|다산|콜센터)(?:는|은|를|번호)?\s)(?P<digits>\d{3,4})(?=번|으?로|에)"
)

_MEMORIAL = (
    r"(?:혁명|운동|절|전쟁|사변|사태|참사|민주|항쟁|정신|광복절|선언|학살|사건|테러|쿠데타|조치|"
    r"대책|지진|총선|대선|"
    r"지방선거|재보선|남북|공동선언|합의|의거|국경일|만세|군사|정변|기념|계엄|내란|세대|부정선거)"
)
_MIDDLE_DOT = re.compile(r"(?<![\d.])(\d{1,2})\s?[·・ㆍ]\s?(\d{1,2})(?![\d.])")
_DOTTED_DAY = re.compile(rf"(?<![\d.])(1[0-2]|[1-9])\.(3[01]|[12]\d|[1-9])(?=\s?{_MEMORIAL})")

# Generations have a number for each of their decades.
_GENERATION = re.compile(
    r"(?<![\d.,])(7080|8090|386|486|586|686)(?=\s?세대|\s?가수|\s?음악|\s?노래)"
)
# One bought, one given: shops say it in English.
_GIVEN_AWAY = re.compile(
    r"(?<![\d+])([1-3])\s?\+\s?([1-3])(?=\s?(?:행사|이벤트|상품|할인|증정|혜택))"
)
_SHOP_NUMBERS = {"1": "원", "2": "투", "3": "쓰리"}
_AGAINST = re.compile(r"(?<=[가-힣A-Za-z\d)])\s*\b[vV][sS]\b\.?\s*(?=[가-힣A-Za-z\d(])")
# Laughter and tears are written, not said.
_LAUGHTER = re.compile(r"[ㄱ-ㅎㅏ-ㅣ]{2,}")

_SIDE = r"[~∼〜～]"
_WEEKDAYS = re.compile(
    r"(?<![가-힣])([월화수목금토일])\s?[~∼〜～–-]\s?([월화수목금토일])(?=$|[\s,.)(]|요일)"
)
_AFTER_TIME = re.compile(
    rf"(?<=[시분초일월년요일살명개원위층호회%도세급장쪽권도점mg])\s?{_SIDE}\s?(?=\d|오전|오후|밤|"
    rf"낮|새벽|아침|다음|현재)"
)
_PLACES = re.compile(rf"([가-힣]{{2,}})\s?{_SIDE}\s?(?=[가-힣]{{2,}})")
_INTERJECTION = re.compile(
    r"(?:^|\s)(?:네|예|응|아|오|와|우와|음|어|야|자|그래|그럼|좋아|아니|안녕|정말|진짜|제발|"
    r"고마워|감사|대박|하하|헤헤|"
    r"히히|호호|아이|어머|아하|글쎄|맞아|역시|완전|너무|\S*[요다죠네까지군걸게니])$"
)
_BEFORE_NUMBER = re.compile(rf"(?<![\w가-힣%]){_SIDE}\s?(?=\d)")
_NUMBER = r"(?<![\d.,:/-])\d{1,3}(?:,\d{3})+|(?<![\d.,:/-])\d+(?:\.\d+)?"
_RANGE = re.compile(
    rf"(?P<a>{_NUMBER})(?P<mag1>[백천만억조]+)?\s?(?P<sign>{_SIDE}|{_DASH})\s?"
    rf"(?P<b>\d+(?:,\d{{3}})*(?:\.\d+)?)(?!\d|{_DASH}\d)(?P<mag>[백천만억조]*)\s?"
    r"(?P<word>[가-힣]+|[A-Za-z%°²³℃]{1,5}(?![A-Za-z]))?"
)
_SCORE_BEHIND = re.compile(r"(?:로|으로)(?:$|\s)|승|패|무승부")


def read_names(text: str) -> str:
    """Read telephone, account and code numbers digit by digit, 0 as 공."""
    text = _LAUGHTER.sub("", text)
    text = _AGAINST.sub(" 대 ", text)
    text = _GENERATION.sub(lambda m: one_by_one(m[1], phone=True), text)
    text = _GIVEN_AWAY.sub(lambda m: f"{_SHOP_NUMBERS[m[1]]} 플러스 {_SHOP_NUMBERS[m[2]]}", text)
    text = _TELEPHONE.sub(_telephone, text)
    text = _MOBILE.sub(lambda m: _groups(*m.groups()), text)
    text = _CUED.sub(lambda m: f"{m['cue']}{_groups(*re.findall('[0-9]+', m['digits']))}", text)
    text = _GROUPS.sub(_account, text)
    text = _SHORT_PHONE.sub(_short_phone, text)
    text = _EMERGENCY.sub(lambda m: _groups(m[0]), text)
    text = _CALLED.sub(lambda m: f"{m['cue']}{_groups(m['digits'])}", text)
    return _LONG.sub(lambda m: _groups(m[0]), text)


def read_memorials(text: str) -> str:
    """Read 4·19 as 사일구 and 6.25 전쟁 as 육이오 전쟁."""
    text = _MIDDLE_DOT.sub(_memorial, text)
    return _DOTTED_DAY.sub(_memorial, text)


def read_tildes(text: str) -> str:
    """Read the wave of a range as 에서; one that draws a sound out is not read."""
    text = _BEFORE_NUMBER.sub("약 ", text)
    text = _WEEKDAYS.sub(r"\1에서 \2", text)
    text = _RANGE.sub(_range, text)
    text = _AFTER_TIME.sub("에서 ", text)
    text = _PLACES.sub(_place, text)
    return re.sub(rf"{_SIDE}+", " ", text)


def _groups(*groups: str) -> str:
    return ", ".join(one_by_one(group, phone=True) for group in groups if group)


def _telephone(match: re.Match[str]) -> str:
    area = match["a"]
    if not match["plus"] and not area.startswith("0"):
        return match[0]
    plus = re.sub(r"\D", "", match["plus"] or "")
    said = _groups(plus, area, match["b"], match["c"])
    return f"플러스 {said}" if plus else said


def _account(match: re.Match[str]) -> str:
    return match[0] if _ISO.fullmatch(match[0]) else _groups(*match[0].split("-"))


def _short_phone(match: re.Match[str]) -> str:
    first, second = match.groups()
    if len(second) < 4 and not first.startswith("0"):
        return match[0]  # a range: 200-300
    return _groups(first, second)


def _memorial(match: re.Match[str]) -> str:
    month, day = int(match[1]), int(match[2])
    # 십이십이, 유월의 육십, but 사일구.
    said = sino(day) if day in {10, month} else one_by_one(str(day))
    return f"{sino(month)}{said}"


def _place(match: re.Match[str]) -> str:
    drawn = _INTERJECTION.search(match[1])
    return f"{match[1]} " if drawn else f"{match[1]}에서 "


def _range(match: re.Match[str]) -> str:
    first, second, word = match["a"], match["b"], match["word"] or ""
    magnitude, wave = match["mag"], re.match(_SIDE, match["sign"]) is not None
    behind = match.string[match.end() :]
    if not wave and (first.startswith("0") or second.startswith("0")) and len(first) > 1:
        return match[0]
    low, high = float(first.replace(",", "")), float(second.replace(",", ""))
    if not wave:
        small = first.isdigit() and second.isdigit() and not magnitude and word
        if small and (said := approximate(int(first), int(second), word)):
            return said
        if _SCORE_BEHIND.match(word) and high < 100:
            return f"{first} 대 {second}{word}"
        if low > high or (not word and not magnitude):
            return f"{first} 다시 {second}{word}" if low > high else f"{first}에서 {second}{word}"
    head = f"{first}{match['mag1'] or magnitude}"
    tail = f"{second}{magnitude}"
    if re.match("[가-힣]", word) and not magnitude:
        said = counted(second, word, match.string[: match.start()], behind)
        unit = _bare(word)
        begin = counted(first, unit) if unit else head
        return f"{begin}에서 {said}"
    unit = _bare(word)
    return f"{head}{unit}에서 {tail}{word}"


def _bare(word: str) -> str:
    """The counter of `word` without its particles, or a unit as it is."""
    if not re.match("[가-힣]", word):
        return word
    return counter_of(word)
