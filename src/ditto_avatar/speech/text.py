"""What remains of a text when it is spoken.

Markup, emoji and control characters are taken out and addresses are put into words; letters,
Hangul above all, go through as they are.

Anybody may send a text made to be slow: a pattern that can fail late has a longest length, or
keeps what it has matched (``+`` and ``++`` behind a repeat), so the work grows with the text only.
"""

from __future__ import annotations

import html
import re
import unicodedata

from ditto_avatar.speech.mathematics import read_latex
from ditto_avatar.types import Language

_FENCE = re.compile(r"^[ \t]*(```|~~~).*$", re.MULTILINE)
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
# Only names of HTML, and attributes with a value: "a<b and c>d" is none.
_TAG = re.compile(
    r"</?(?:a|abbr|article|b|big|blockquote|br|button|center|cite|code|dd|del|details|div|dl|dt|em|"
    r"figure|font|footer|h[1-6]|header|hr|i|img|input|ins|kbd|label|li|main|mark|nav|ol|p|pre|q|s|"
    r"samp|script|section|small|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|th|"
    r"thead|tr|tt|u|ul|var|video)(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>"
    r"|<!--.{0,400}?-->",
    re.DOTALL | re.IGNORECASE,
)
_LINE_MARK = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•▪◦·][ \t]+(?:\[[ xX]\][ \t]+)?)+", re.MULTILINE
)
_RULE = re.compile(
    r"^[ \t]*+(?:[-*_=][ \t]*+){3,}+$|^(?=[ \t:|-]*+$)[ \t:|]*+(?:-{1,2}[ \t:|]++)*+---.*$",
    re.MULTILINE,
)
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3}|~~)(?=\S)(.{1,400}?)(?<=\S)\1", re.DOTALL)
# Marks within marks, as in "**_~~so~~_**".
_DEEPEST_EMPHASIS = 4
_URL = re.compile(r"\b(?:https?://|ftp://|www\.)[^\s<>\"'`\])}，。、」]+", re.IGNORECASE)
# RFC 5321, 4.5.3.1: 64 characters before the sign.
_EMAIL = re.compile(r"\b([A-Za-z0-9._%+-]{1,64}+)@([A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++)")
_EMOTICON = re.compile(
    r"(?<![^\s(])(?:[:;=8][-^']?[)(DPpOo3|\\/*]|<3|\^\^|\^_\^|[xX]D)(?![^\s.,!?)])"
)
_DOT_NAME = re.compile(r"(?<![\w.])\.(?=[A-Za-z]{2})")
_TIMES = re.compile(r"(?<=\d)\s*\*\s*(?=\d)")
_POWER = re.compile(r"(?<=[\w)])\*\*(?=[\d(-])")
# Behind a word or a full stop a number in brackets names a source.
_CITED = re.compile(
    r"(?<=[^\W\d_.])(?:\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\])+(?=[\s.,;:!?)]|$)(?<!\[0\])"
    r"|(?<=[.!?,;])\s?(?:\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\])+"
    r"|\s(?:\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\])+(?=[.!?]?$|[.!?]\s)|【[^】]{0,60}】"
)
# Squared words such as ㎖ and ㏊, circled and full-width characters.
_COMPATIBLE = re.compile(
    "[\u3200-\u33ff\uff01-\uff5e\u2460-\u2473\u2160-\u217f\u2474-\u2487\ufb00-\ufb06\u2100-\u2109]"
)
_KEYCAP = re.compile(r"([0-9#*])️?⃣")
_REPEATED = re.compile(r"([!?.,])\1{2,}")

_SPOKEN_CHARACTERS = {
    "℃": "°C",
    "℉": "°F",
    "㎞": "km",
    "㎝": "cm",
    "㎜": "mm",
    "㎏": "kg",
    "㎡": "m²",
    "№": "No. ",
    "\u00a0": " ",
    "\u3000": " ",
    "—": ", ",
    "―": ", ",
    "→": ", ",
    "⇒": ", ",
    "…": "...",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "`": "",
    "|": ", ",
}
_KEPT_SYMBOLS = frozenset("°^")
_DOT = {Language.ENGLISH: " dot ", Language.KOREAN: " 점 "}
_SLASH = {Language.ENGLISH: " slash ", Language.KOREAN: " 슬래시 "}
_AT = {Language.ENGLISH: " at ", Language.KOREAN: " 골뱅이 "}
_LONGEST_SPOKEN_PATH = 24


def spoken_text(text: str, language: Language) -> str:
    """`text` without what cannot be said, on one line; empty when nothing is left.

    `language` decides the words for the signs of an address. The result is in Unicode's
    composed form, so Hangul that came as separate jamo is readable to every engine.
    """
    text = unicodedata.normalize("NFC", html.unescape(text))
    text = _COMPATIBLE.sub(_compatible, text)
    text = read_latex(text, language)
    text = _CITED.sub("", text)
    text = _without_markup(text)
    text = _URL.sub(lambda match: _spoken_url(match[0], language), text)
    text = _EMAIL.sub(lambda m: _spoken_email(m[1], m[2], language), text)
    text = _DOT_NAME.sub(_DOT[language].lstrip(), text)
    text = _KEYCAP.sub(r"\1", text)
    text = _EMOTICON.sub("", text)
    text = "".join(_spoken_character(character) for character in text)
    return _tidy(text)


def _compatible(match: re.Match[str]) -> str:
    """A character that Unicode has for old character sets, as the letters that it stands for."""
    character = match[0]
    if character in "℃℉℡№":
        return character
    plain = unicodedata.normalize("NFKC", character)
    # A list's ① stands apart from the words behind it.
    return f"{plain} " if "\u2460" <= character <= "\u2487" else plain


def has_speech(text: str) -> bool:
    """Whether anything in `text` sounds: a letter or a digit."""
    return any(character.isalnum() for character in text)


def _without_markup(text: str) -> str:
    text = _POWER.sub("^", text)
    text = _TIMES.sub(" × ", text)
    text = _FENCE.sub("", text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _TAG.sub(" ", text)
    text = _RULE.sub("", text)
    text = _LINE_MARK.sub("", text)
    for _ in range(_DEEPEST_EMPHASIS):
        text = _EMPHASIS.sub(_unemphasized, text)
    return text


def _unemphasized(match: re.Match[str]) -> str:
    inner = match[2]
    # snake_case and 2*3*4 are no emphasis: the marks stand between letters or digits there.
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    inside_word = bool(before) and before.isalnum() and bool(after) and after.isalnum()
    if match[1] in {"*", "_"} and inside_word:
        return f"{' ' if match[1] == '_' else ' * '}".join(["", inner, ""])
    return inner


def _spoken_url(url: str, language: Language) -> str:
    tail = url[len(url.rstrip(".,;:!?…")) :] if url.rstrip(".,;:!?…") != url else ""
    body = url.rstrip(".,;:!?…")
    body = re.sub(r"^(?:https?://|ftp://)", "", body, flags=re.IGNORECASE)
    body = re.sub(r"^www\.", "", body, flags=re.IGNORECASE)
    body = re.split(r"[?#]", body, maxsplit=1)[0].rstrip("/")
    host, _, path = body.partition("/")
    host = host.split(":")[0] if not host.startswith("localhost") else host.replace(":", " ")
    said = host.replace(".", _DOT[language])
    if path and len(path) <= _LONGEST_SPOKEN_PATH and "%" not in path:
        words = [_spoken_segment(part, language) for part in path.split("/")]
        said = _SLASH[language].join([said, *words])
    return said + tail


def _spoken_segment(part: str, language: Language) -> str:
    return re.sub(r"[-_~]+", " ", part).replace(".", _DOT[language])


def _spoken_email(user: str, host: str, language: Language) -> str:
    dot = _DOT[language]
    user = re.sub(r"[-_+%]+", " ", user).replace(".", dot)
    return f"{user}{_AT[language]}{host.replace('.', dot)}"


def _spoken_character(character: str) -> str:
    if character in _SPOKEN_CHARACTERS:
        return _SPOKEN_CHARACTERS[character]
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    if category in {"So", "Cs", "Co", "Cn", "Sk"} and character not in _KEPT_SYMBOLS:
        return " "
    if category in {"Mn", "Me"} and not character.isalpha() and _is_variation(character):
        return ""
    return character


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or character == "\u20e3"


def _tidy(text: str) -> str:
    text = _REPEATED.sub(lambda match: "..." if match[1] == "." else match[1], text)
    text = re.sub(r"[#*_~]{2,}|(?<!\w)[#*_~]+(?!\w)|^[-*#>]+\s", " ", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
    text = re.sub(r",+([.!?])", r"\1", text)
    text = re.sub(r"\(\s*\)|\[\s*\]", "", text)
    text = text.strip(" ,;:")
    return text if has_speech(text) else ""
