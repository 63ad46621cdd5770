"""Split a stream of text into sentences, in English and Korean.

Speech starts with the first sentence, so one is given out as soon as the characters seen prove
that it has ended, and never a character later. The decision looks at one character after the
other: however a text is cut into pieces, the sentences are the same.

Anybody may send a text made to be slow. So every character is passed once, a decision looks back
over a bounded stretch, and a part has a longest length even where it has no spaces.
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
# After these no space follows.
_WIDE_CLAUSE_MARKS = frozenset("，、；：")

# A period after these never ends a sentence: a name or a number follows.
_TITLES = frozenset(
    "mr mrs ms mx dr prof st mt gen sen rep gov lt col capt cmdr sgt maj rev hon pres supt "
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

_ADDRESS_BEGINS = ("http://", "https://", "ftp://", "www.")
_MAIL_HOST = re.compile(r"[\w.-]*")
_MAIL_USER_ENDS = re.compile(r"[\w.+-]")
_WORD_BEGINS = re.compile(r"[\s(\[{\"'“‘「『<]")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]$")
_DATE = re.compile(r"\d{2,4}\.\s*\d{1,2}\.\s*\d{1,2}$")
_LIST_MARK = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[가나다라마바사자차카타파하])$")

# Lengths are counted in columns: a Hangul block takes two, as it takes about twice as long to say.
_LONGEST = 220
_SHORTEST_PART = 40
_LONGEST_FIRST = 90
_LONGEST_BRACKET = 120
# Characters before a mark that are looked at; addresses alone are longer.
_LOOK_BACK = 64


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, or a part of one that was too long; `ends` says whether it ends here."""

    text: str
    ends: bool = True


class SentenceSplitter:
    """Split one answer, fed piece by piece, into sentences, each as soon as it has ended."""

    def __init__(self) -> None:
        self._said_anything = False
        self._begin()

    def _begin(self) -> None:
        self._text = ""
        self._columns = 0
        # One past the last clause mark that leaves a fair part on its left.
        self._clause_end: int | None = None
        # Everything before `_at` has been decided; its last characters without a space begin at
        # `_run_at`, its open bracket at `_opened_at`.
        self._at = self._run_at = self._depth = self._opened_at = 0
        # How far the terminators at `_at`, and the closers behind them, were followed.
        self._marks = self._closers = 0

    @property
    def pending(self) -> str:
        """Return the text that was fed and not returned yet."""
        return self._text

    def feed(self, piece: str) -> list[Part]:
        """Return the parts that `piece` completes, in order."""
        parts = []
        for character in piece:
            self._append(character)
            while (part := self._next(final=False)) is not None:
                parts.append(part)
        return [part for part in parts if part.text]

    def flush(self) -> list[Part]:
        """End the text; return the parts that are left."""
        parts = []
        while (part := self._next(final=True)) is not None:
            parts.append(part)
        parts.append(self._take(len(self._text), ends=True))
        return [part for part in parts if part.text]

    def _append(self, character: str) -> None:
        spaced = character.isspace() and self._text[-1:] in _CLAUSE_MARKS
        if spaced and self._columns >= _SHORTEST_PART:
            self._clause_end = len(self._text)
        self._text += character
        self._columns += _columns(character)
        if character in _WIDE_CLAUSE_MARKS and self._columns >= _SHORTEST_PART:
            self._clause_end = len(self._text)

    def _next(self, *, final: bool) -> Part | None:
        end = self._end(final=final)
        if end is not None:
            return self._take(end, ends=True)
        cut = self._cut()
        return None if cut is None else self._take(cut, ends=False)

    def _take(self, end: int, *, ends: bool) -> Part:
        text, rest = self._text[:end].strip(), self._text[end:]
        self._begin()
        for character in rest:
            self._append(character)
        self._said_anything = self._said_anything or any(c.isalnum() for c in text)
        return Part(text, ends)

    def _end(self, *, final: bool) -> int | None:
        """Return the index behind the first sentence; None while that is not certain."""
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in "\n\r\u2028\u2029":
                return self._at + 1
            if character not in TERMINATORS:
                self._pass(self._at + 1)
                continue
            mark = self._mark()
            verdict = _verdict(mark, final=final)
            if verdict is None:
                return None
            if verdict and not self._within_bracket(mark.closers):
                return mark.closers
            self._pass(mark.marks)
        return None

    def _mark(self) -> _Ending:
        """Find the terminators at `_at`, and the closers behind them, as far as they are known."""
        text = self._text
        marks = max(self._marks, self._at)
        while marks < len(text) and text[marks] in TERMINATORS:
            marks += 1
        closers = max(self._closers, marks)
        while closers < len(text) and (text[closers] in _CLOSERS or _is_emoji(text[closers])):
            closers += 1
        self._marks, self._closers = marks, closers
        return _Ending(text, self._run_at, self._at, marks, closers)

    def _pass(self, end: int) -> None:
        """Move on to `end`: the sentence goes on there."""
        for index in range(self._at, end):
            character = self._text[index]
            if character.isspace():
                self._run_at = index + 1
            elif character in _OPENING:
                if not self._depth:
                    self._opened_at = index
                self._depth += 1
            elif character in _CLOSING and self._depth:
                self._depth -= 1
        self._at = end

    def _within_bracket(self, end: int) -> bool:
        """Return whether `end` lies within a bracket that is short enough to wait for."""
        if not self._depth or end - self._opened_at >= _LONGEST_BRACKET:
            return False
        closed = sum(character in _CLOSING for character in self._text[self._at : end])
        return self._depth > closed

    def _cut(self) -> int | None:
        """Return where to cut a sentence that has become too long, or None."""
        # At the moment that a word ends: whether the sentence does too is known by then.
        if not self._text[-1:].isspace():
            return self._hard_cut()
        if not self._said_anything and self._columns >= _LONGEST_FIRST and self._clause_end:
            return self._clause_end
        if self._columns < _LONGEST:
            return None
        return self._clause_end or len(self._text)

    def _hard_cut(self) -> int | None:
        """Return where to cut a text without spaces, or nearly without."""
        return len(self._text) if self._columns >= 2 * _LONGEST else None


@dataclass(frozen=True, slots=True)
class _Ending:
    """Terminators from `start` to `marks`, closing quotes and brackets up to `closers`. The
    characters without a space that they belong to begin at `run_at`."""

    text: str
    run_at: int
    start: int
    marks: int
    closers: int

    @property
    def terminators(self) -> str:
        return self.text[self.start : self.marks]

    @property
    def closed_by(self) -> str:
        return self.text[self.marks : self.closers]

    @property
    def before(self) -> str:
        """Return the characters before, as many as are looked at."""
        return self.text[max(0, self.start - _LOOK_BACK) : self.start]

    @property
    def word(self) -> str:
        """Return the word before, or its end."""
        return _WORD_BEGINS.split(self.before)[-1]

    @property
    def rest(self) -> str:
        """Return all that follows, from the next word on."""
        return self.text[self.closers :].lstrip(" \t")

    @property
    def in_address(self) -> bool:
        """Return whether it stands in an address of the web or of mail."""
        run = self.text[self.run_at : self.start].lower()
        if any(begin in run for begin in _ADDRESS_BEGINS):
            return True
        user, at, host = run.rpartition("@")
        return bool(at and _MAIL_USER_ENDS.match(user[-1:]) and _MAIL_HOST.fullmatch(host))

    @property
    def numbers_a_list(self) -> bool:
        """Return whether nothing but the number of a list's item stands before."""
        return _LIST_MARK.fullmatch(self.text, 0, self.start) is not None


def _verdict(mark: _Ending, *, final: bool) -> bool | None:
    """Decide whether the sentence ends behind `mark`; None when more characters are needed."""
    if mark.closers == len(mark.text) and not final:
        return None
    following = mark.text[mark.closers : mark.closers + 1]
    if following and not following.isspace():
        return _ends_without_space(mark, following)
    if any(character in _CLOSING_QUOTES or character == ")" for character in mark.closed_by):
        return _ends_after_closer(mark, final=final)
    if mark.terminators == ".":
        return _ends_at_period(mark, final=final)
    if set(mark.terminators) <= set(".…‥"):
        return _ends_at_ellipsis(mark, final=final)
    return (mark.word + mark.terminators).lower() not in _MARKED_NAMES


def _ends_without_space(mark: _Ending, following: str) -> bool:
    """Decide for a character right behind: mostly of a decimal, a version, an address."""
    if mark.closed_by or mark.in_address:
        return False
    run = mark.terminators
    if run[-1] in "。！？":
        return True
    if run == ".":
        # "했습니다.그리고", but not "v2.가" or "제3.5조".
        before = mark.before[-1:]
        return (
            bool(before) and _is_hangul(before) and (_is_hangul(following) or following.isupper())
        )
    if set(run) <= set(".…‥"):
        return False
    return _is_hangul(following) or following.isupper()


def _ends_after_closer(mark: _Ending, *, final: bool) -> bool | None:
    rest = mark.rest
    if not rest:
        return True if final else None
    if rest[0].islower() or rest[0] in _CLAUSE_MARKS:
        return False
    if _is_hangul(rest[0]):
        if len(rest) < 2 and not final:
            return None
        return not rest.startswith(_QUOTATIVES)
    return True


def _ends_at_period(mark: _Ending, *, final: bool) -> bool | None:
    word = mark.word
    lower = word.lower()
    if mark.numbers_a_list or lower in _TITLES:
        return False
    rest = mark.rest
    if word[-1:].isdecimal():
        # "2024. 3. 5." and "No. 5. 6": the next number goes on.
        if not rest:
            return True if final else None
        dated = _is_hangul(rest[0]) and _DATE.search(mark.before) is not None
        return not (dated or rest[0].isdigit())
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


def _ends_at_ellipsis(mark: _Ending, *, final: bool) -> bool | None:
    rest = mark.rest
    if not rest:
        return True if final else None
    if rest[0].islower() or rest[0] in _CLAUSE_MARKS:
        return False
    if _is_hangul(rest[0]):
        # "음… 글쎄요" hesitates, "그래요… 그럼요" has ended.
        return mark.before[-1:] in _KOREAN_FINALS and len(mark.word) > 1
    return True


def columns(text: str) -> int:
    """Count how much there is to say in `text`: a Hangul block, which takes two columns, takes
    about twice as long to say as a letter."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    return 2 if "\u1100" <= character and unicodedata.east_asian_width(character) in "WF" else 1


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3" or "\u3130" <= character <= "\u318f"


def _is_emoji(character: str) -> bool:
    return character in "\ufe0f\u200d" or (
        character >= "\u2190" and unicodedata.category(character) in {"So", "Sk"}
    )
