"""Sentences out of a stream of pieces, in English and Korean.

Speech starts with the first sentence, so one is given out as soon as the characters seen prove
that it has ended, and never a character later. The decision looks at one character after the
other: however a text is cut into pieces, the sentences are the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

TERMINATORS = frozenset(".!?…。！？‥")
_CLOSERS = frozenset("\"'”’)]}»」』）】〉》*_`~")
_CLOSING_QUOTES = frozenset("\"'”’»」』")
_OPENING, _CLOSING = frozenset("([（【"), frozenset(")]）】")
_CLAUSE_MARKS = frozenset(",;:，、；：—–")

# A period after these never ends a sentence: a name or a number follows.
_TITLES = frozenset(
    "mr mrs ms mx dr prof st sr. mt gen sen rep gov lt col capt cmdr sgt maj rev hon pres supt "
    "messrs mmes vs e.g i.e cf viz approx est fig figs eq eqs sec ch vol pp ed eds art dept "
    "nos ext tel".split()
)
# These do when the next word begins like a sentence.
_MAYBE_LAST = frozenset(
    "etc inc ltd co corp jr sr a.m p.m al ph.d m.d b.a m.a b.sc m.sc u.s u.k u.n e.u d.c u.s.a "
    "ave blvd rd no jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun "
    "min max avg hr hrs sq ft lb lbs oz bros esp misc tsp tbsp".split()
)
_STARTERS = frozenset(
    "a about after all also although an and any are as at because before but by can could did do "
    "does each even every finally first for from had has have he here his how however i i'd i'll "
    "i'm i've if in is it it's its let let's like many may maybe meanwhile most my next no not now "
    "of oh ok okay on once one or our perhaps please she should since so some still such sure "
    "thank thanks that that's the their then there there's these they they're this those though "
    "to today together under until we we'll we're well were what what's when where which while who "
    "why will with would yes yet you you'll you're your".split()
)
# Words that carry their mark with them, in any sentence.
_MARKED_NAMES = frozenset({"yahoo!", "jeopardy!", "yum!"})
# After a closing quote these go on with the sentence that quotes.
_QUOTATIVES = ("라고", "라는", "라며", "라면", "라니", "이라", "하고", "하며", "고 ", "란 ", "하는")
_KOREAN_FINALS = frozenset("다요죠까네군라자지야걸게래데니냐며음함임")

_ADDRESS = re.compile(r"(?:https?://|ftp://|www\.)\S*$|[\w.+-]+@[\w.-]*$", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘「『<]*$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]$")
_NUMBER = re.compile(r"\d+(?:\.\d+)*$")
_DATE = re.compile(r"\d{2,4}\.\s*\d{1,2}\.\s*\d{1,2}$")
_LIST_MARK = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[가나다라마바사자차카타파하])$")

# Lengths are counted in columns: a Hangul block takes two, as it takes about twice as long to say.
_LONGEST = 220
_SHORTEST_PART = 40
_LONGEST_FIRST = 90
_LONGEST_BRACKET = 120


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, or a part of one that was too long; `ends` tells whether it ends here."""

    text: str
    ends: bool = True


class SentenceSplitter:
    """Feed it pieces of one answer; it gives back sentences as soon as they have ended."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._depth = 0
        self._opened_at = 0
        self._columns = 0
        self._said_anything = False

    @property
    def pending(self) -> str:
        """What has been fed and not yet given out."""
        return self._text

    def feed(self, piece: str) -> list[Part]:
        """The parts that `piece` completes, in order."""
        parts = []
        for character in piece:
            self._text += character
            self._columns += _columns(character)
            while (part := self._next(final=False)) is not None:
                parts.append(part)
        return [part for part in parts if part.text]

    def flush(self) -> list[Part]:
        """The text has ended: all that is left."""
        parts = []
        while (part := self._next(final=True)) is not None:
            parts.append(part)
        parts.append(self._take(len(self._text), ends=True))
        return [part for part in parts if part.text]

    def _next(self, *, final: bool) -> Part | None:
        end = self._end(final=final)
        if end is not None:
            return self._take(end, ends=True)
        cut = self._cut()
        return None if cut is None else self._take(cut, ends=False)

    def _take(self, end: int, *, ends: bool) -> Part:
        text, self._text = self._text[:end].strip(), self._text[end:]
        self._at = self._depth = 0
        self._columns = sum(_columns(character) for character in self._text)
        self._said_anything = self._said_anything or any(c.isalnum() for c in text)
        return Part(text, ends)

    def _end(self, *, final: bool) -> int | None:
        """One past the end of the first sentence, None as long as it cannot be told."""
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in "\n\r\u2028\u2029":
                return self._at + 1
            if character in TERMINATORS:
                after = self._after_marks()
                verdict = _verdict(self._text, self._at, *after, final=final)
                if verdict is None:
                    return None
                if verdict and not self._within_bracket(after[1]):
                    return after[1]
                self._track(self._at, after[0])
                self._at = after[0]
                continue
            self._track(self._at, self._at + 1)
            self._at += 1
        return None

    def _after_marks(self) -> tuple[int, int]:
        """Where the terminators from here end, and where the closers after them end."""
        text = self._text
        marks = self._at
        while marks < len(text) and text[marks] in TERMINATORS:
            marks += 1
        closers = marks
        while closers < len(text) and (text[closers] in _CLOSERS or _is_emoji(text[closers])):
            closers += 1
        return marks, closers

    def _track(self, start: int, end: int) -> None:
        for index in range(start, end):
            if self._text[index] in _OPENING:
                if not self._depth:
                    self._opened_at = index
                self._depth += 1
            elif self._text[index] in _CLOSING and self._depth:
                self._depth -= 1

    def _within_bracket(self, end: int) -> bool:
        """Whether position `end` lies within a bracket that is short enough to wait for."""
        depth = self._depth
        depth -= sum(character in _CLOSING for character in self._text[self._at : end])
        return depth > 0 and end - self._opened_at < _LONGEST_BRACKET

    def _cut(self) -> int | None:
        """Where to cut a sentence that has become too long, or None."""
        text = self._text
        # At the moment that a word ends: whether the sentence does too is known by then.
        if not text or not text[-1].isspace():
            return self._hard_cut()
        if not self._said_anything and self._columns >= _LONGEST_FIRST:
            early = _clause_end(text)
            if early is not None:
                return early
        if self._columns < _LONGEST:
            return None
        return _clause_end(text) or len(text)

    def _hard_cut(self) -> int | None:
        """For a text without spaces, or nearly."""
        return len(self._text) if self._columns >= 2 * _LONGEST else None


def _verdict(text: str, start: int, marks: int, closers: int, *, final: bool) -> bool | None:
    """Whether the sentence ends at `closers`; None when more characters are needed.

    `start` is the first terminator, `marks` one past the last, `closers` one past the closing
    quotes and brackets behind them.
    """
    if closers == len(text) and not final:
        return None
    run, following = text[start:marks], text[closers : closers + 1]
    before = text[:start]
    if following and not following.isspace():
        return _ends_without_space(text, start, marks, closers)
    if any(character in _CLOSING_QUOTES for character in text[marks:closers]) or (
        ")" in text[marks:closers]
    ):
        return _ends_after_closer(text, closers, final=final)
    if run == ".":
        return _ends_at_period(before, text, closers, final=final)
    if set(run) <= set(".…‥"):
        return _ends_at_ellipsis(before, text, closers, final=final)
    return (_word(before) + run).lower() not in _MARKED_NAMES


def _ends_without_space(text: str, start: int, marks: int, closers: int) -> bool:
    """The next character stands right behind: mostly a decimal, a version, an address."""
    before, following = text[:start], text[closers]
    if _ADDRESS.search(before):
        return False
    run = text[start:marks]
    if closers > marks:
        return False
    if run[-1] in "。！？":
        return True
    if run == ".":
        # "했습니다.그리고", but not "v2.가" or "제3.5조".
        return (
            bool(before)
            and _is_hangul(before[-1])
            and (_is_hangul(following) or following.isupper())
        )
    if set(run) <= set(".…‥"):
        return False
    return _is_hangul(following) or following.isupper()


def _ends_after_closer(text: str, closers: int, *, final: bool) -> bool | None:
    rest = text[closers:].lstrip(" \t")
    if not rest:
        return True if final else None
    if rest[0].islower() or rest[0] in _CLAUSE_MARKS:
        return False
    if _is_hangul(rest[0]):
        if len(rest) < 2 and not final:
            return None
        return not rest.startswith(tuple(word[:2] for word in _QUOTATIVES))
    return True


def _ends_at_period(before: str, text: str, closers: int, *, final: bool) -> bool | None:
    word = _word(before)
    lower = word.lower()
    if _LIST_MARK.fullmatch(before):
        return False
    if lower in _TITLES:
        return False
    rest = text[closers:].lstrip(" \t")
    if _NUMBER.search(word):
        # "2024. 3. 5." and "No. 5. 6": the next number goes on.
        if not rest:
            return True if final else None
        goes_on = rest[0].isdigit() or (_is_hangul(rest[0]) and _DATE.search(before) is not None)
        return not goes_on
    initials = _INITIALS.fullmatch(word) is not None and word not in {"I", "a"}
    if not initials and lower not in _MAYBE_LAST:
        return True
    if not rest:
        return True if final else None
    if rest[0] in "\n\r" or _is_hangul(rest[0]) or rest[0] in "\"“‘'([":
        return not (initials and len(word) == 1)
    if rest[0].isdigit() or rest[0].islower() or rest[0] in _CLAUSE_MARKS:
        return False
    if lower in {"a.m", "p.m", "etc"}:
        return True
    next_word = re.match(r"[\w'’]+", rest)
    if next_word is not None and next_word.end() == len(rest) and not final:
        return None
    return next_word is not None and next_word[0].lower().replace("’", "'") in _STARTERS


def _ends_at_ellipsis(before: str, text: str, closers: int, *, final: bool) -> bool | None:
    rest = text[closers:].lstrip(" \t")
    if not rest:
        return True if final else None
    if rest[0].islower() or rest[0] in _CLAUSE_MARKS:
        return False
    if _is_hangul(rest[0]):
        # "음… 글쎄요" hesitates, "그래요… 그럼요" has ended.
        return before[-1:] in _KOREAN_FINALS and len(_word(before)) > 1
    return True


def _clause_end(text: str) -> int | None:
    """One past the last clause mark that leaves a fair part on its left."""
    columns = 0
    found = None
    for index, character in enumerate(text):
        columns += _columns(character)
        spaced = text[index + 1 : index + 2].isspace() or character in "，、；："
        if columns >= _SHORTEST_PART and character in _CLAUSE_MARKS and spaced:
            found = index + 1
    return found


def _word(before: str) -> str:
    match = _WORD_BEFORE.search(before)
    return match[0] if match else ""


def _columns(character: str) -> int:
    return 2 if "\u1100" <= character and unicodedata.east_asian_width(character) in "WF" else 1


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3" or "\u3130" <= character <= "\u318f"


def _is_emoji(character: str) -> bool:
    return character in "\ufe0f\u200d" or (
        character >= "\u2190" and unicodedata.category(character) in {"So", "Sk"}
    )
